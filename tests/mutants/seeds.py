"""The programs that are changed: small ones of every kind, out of tests/cases."""

from pathlib import Path

import torch

from cases import __main__ as corpus
from cases import loops, seeded, spectra
from mutants.examine import Seed
from oracle.archives import save

FAMILIES = corpus.FAMILIES | {"loops": corpus.lazily(loops.LOOPS), "spectra": corpus.lazily(spectra.CASES)}

SEEDS = {
    "delegated": "linear_relu conv_bn conv1d conv_transpose inverted_residual layer_norm group_norm cat_of_six attention grouped_attention upsample "
                 "avg_pool max_pool_ceil log_softmax lstm mean_classifier slice view_permute pow",
    "ops": "rms_norm instance_norm batch_norm embedding gather index_select topk cumsum sort split roll repeat pad_reflect pixel_shuffle einsum "
           "bag_mean grid_sample im2col arange_add one_hot var std argmax unbind dynamic_reshape dynamic_cnn conv3d adaptive_avg_3 where_scalar",
    "reach": "size_floor_division size_remainder size_made size_triangle size_quotient size_square size_decides_both size_length_regulator "
             "kernel_functions kernel_batch_norms kernel_item quantized_per_channel quantized_embedding_byte quantized_per_token name_axes",
    "programs": "cond cond_twice_with_views cond_on_state cond_in_network dynamic_attention dynamic_batch_network derived_sizes dynamic_feature_map "
                "symbolic_views symbolic_slices symbolic_expand symbolic_integer cache_by_item cache_by_index_put half_network tied_weights containers",
    "archives": "dynamic branches mutations nested encoder arguments cnn_core pt2e_static pt2e_dynamic torchao_8da4w",
    "loops": "scan_of_layers scan_of_any_length map_of_layers while_counting loop_in_a_branch",
    "spectra": "stft istft complex_layers rotary_length rfft_length",
    "language": "llama llama_halves",
}

# Few and quick ones, of static and dynamic sizes, for each run of the tests.
QUICK = {"delegated": "layer_norm", "programs": "symbolic_views", "reach": "size_floor_division"}


def written(folder: Path, chosen: dict[str, str] = SEEDS) -> list[Seed]:
    """Exported once, where FOLDER does not have them yet."""
    seeds = []
    for family, names in chosen.items():
        for name in names.split():
            path = folder / family / f"{name}.pt2"
            if not path.exists():
                torch._dynamo.reset()  # what earlier programs taught it of sizes shapes no later one
                with seeded():
                    case = FAMILIES[family][name]()
                save(case, path, calibration=[(case.calls[0], case.kwargs)])
            seeds.append(Seed(f"{family}/{name}", path, next((path.with_suffix("") / "calibration").iterdir())))
    return seeds
