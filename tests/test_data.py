"""Sample files: what NumPy writes and what Pillow and torchvision make of images, against the data room's reading."""
import io

import numpy as np
import pytest
from PIL import Image

from oracle.build import probe

DTYPES = ["?", "i1", "i2", "i4", "i8", "u1", "u2", "u4", "u8", "f2", "f4", "f8", "c8", "c16"]


def dump(path, folder, *preprocess):
    folder.mkdir()
    return probe("data_dump", path, folder, *preprocess, check=False)


def loaded(path, folder, *preprocess):
    result = dump(path, folder, *preprocess)
    assert result.returncode == 0, result.stderr
    return {file.stem: np.load(file) for file in folder.iterdir()}


def example(dtype, shape, seed=0):
    random = np.random.default_rng(seed)
    values = random.integers(-100, 100, size=shape) if shape else random.integers(-100, 100)
    return np.asarray(values).astype(dtype)


@pytest.mark.parametrize("order", ["<", ">"])
@pytest.mark.parametrize("dtype", DTYPES)
def test_npy_of_every_dtype(tmp_path, dtype, order):
    for number, (shape, layout) in enumerate([((), "C"), ((5,), "C"), ((2, 3, 4), "C"), ((2, 3, 4), "F"), ((0, 2), "C")]):
        array = np.asarray(example(dtype, shape), dtype=np.dtype(dtype).newbyteorder(order), order=layout)
        path = tmp_path / f"{number}.npy"
        np.save(path, array)
        got = loaded(path, tmp_path / f"out{number}")["arr_0"]
        assert got.dtype == np.dtype(dtype) and got.shape == array.shape
        np.testing.assert_array_equal(got, array)


def test_written_bytes_are_numpys(tmp_path):
    for dtype in DTYPES:
        path = tmp_path / f"{np.dtype(dtype).name}.npy"
        np.save(path, example(dtype, (3, 5)))
        assert dump(path, tmp_path / np.dtype(dtype).name).returncode == 0
        written = (tmp_path / np.dtype(dtype).name / "arr_0.npy").read_bytes()
        assert written[-3 * 5 * np.dtype(dtype).itemsize :] == path.read_bytes()[-3 * 5 * np.dtype(dtype).itemsize :]
        assert len(written) == len(path.read_bytes())


@pytest.mark.parametrize("save", [np.savez, np.savez_compressed])
def test_npz(tmp_path, save):
    arrays = {"x": example("f4", (3, 224, 224)), "k": example("i8", ()), "mask": example("?", (7,))}
    save(tmp_path / "a.npz", **arrays)
    got = loaded(tmp_path / "a.npz", tmp_path / "out")
    assert got.keys() == arrays.keys()
    for name, array in arrays.items():
        np.testing.assert_array_equal(got[name], array)
        assert got[name].dtype == array.dtype


def test_bfloat16_travels_as_void(tmp_path):
    bits = np.array([0x3F80, 0xC000, 0x7F80], dtype="<u2")
    np.save(tmp_path / "b.npy", bits.view("V2"))
    got = loaded(tmp_path / "b.npy", tmp_path / "out")["arr_0"]
    assert got.dtype == np.dtype("V2") and got.view("<u2").tolist() == bits.tolist()


def test_pickled_objects_are_refused(tmp_path):
    np.save(tmp_path / "o.npy", np.array([{"a": 1}, None], dtype=object), allow_pickle=True)
    result = dump(tmp_path / "o.npy", tmp_path / "out")
    assert result.returncode == 1 and result.stderr.count("\n") == 1 and "objects and text are never read" in result.stderr


def picture(height, width, seed=1):
    random = np.random.default_rng(seed)
    coarse = Image.fromarray(random.integers(0, 256, (9, 11, 3), dtype=np.uint8))
    return coarse.resize((width, height), Image.BICUBIC)


def encoded(image, kind, **options):
    buffer = io.BytesIO()
    image.save(buffer, kind, **options)
    return buffer.getvalue()


def in_pillow(image, resize, crop, resample, passes):
    """Resize and CenterCrop as torchvision does them on a Pillow image."""
    if resize:
        width, height = image.size
        size = (resize, int(resize * height / width)) if width <= height else (int(resize * width / height), resize)
        if passes == 2:
            image = image.resize((size[0], height), resample)
        image = image.resize(size, resample)
    if crop:
        width, height = image.size
        top, left = int(round((height - crop) / 2.0)), int(round((width - crop) / 2.0))
        image = image.crop((left, top, left + crop, top + crop))
    return np.asarray(image.convert("RGB"), dtype=np.float32).transpose(2, 0, 1)[None] / np.float32(255)


@pytest.mark.parametrize("size", [(60, 90), (301, 257), (224, 224), (1000, 333)])
@pytest.mark.parametrize("interpolation, resample", [("bilinear", Image.BILINEAR), ("bicubic", Image.BICUBIC)])
def test_resize_and_crop_have_pillows_bits(tmp_path, size, interpolation, resample):
    image = picture(*size)
    (tmp_path / "a.png").write_bytes(encoded(image, "PNG"))
    got = loaded(tmp_path / "a.png", tmp_path / "out", f"resize=256,crop=224,interpolation={interpolation}")["arr_0"]
    # Pillow up to 12 always resizes across first, 13 down first for some sizes; both round to 8 bits in between.
    np.testing.assert_array_equal(got, in_pillow(image, 256, 224, resample, passes=2))
    apart = np.abs(got - in_pillow(image, 256, 224, resample, passes=1))
    assert apart.max() < 2.5 / 255 and np.count_nonzero(apart) < 0.02 * apart.size


def test_torchvisions_transforms_agree(tmp_path):
    from cases import networks  # noqa: F401  (importing it makes torchvision loadable)
    from torchvision import transforms

    image = picture(300, 411)
    (tmp_path / "a.png").write_bytes(encoded(image, "PNG"))
    mean, std = [0.485, 0.456, 0.406], [0.229, 0.224, 0.225]
    expected = transforms.Compose([transforms.Resize(256), transforms.CenterCrop(224), transforms.ToTensor(),
                                   transforms.Normalize(mean, std)])(image)[None].numpy()
    got = loaded(tmp_path / "a.png", tmp_path / "out",
                 "resize=256,crop=224,mean=0.485:0.456:0.406,std=0.229:0.224:0.225")["arr_0"]
    np.testing.assert_array_equal(got, expected)
    # torchvision's float tensor path does not round between its passes: at most one and a half steps of 255 away.
    tensor = transforms.functional.resize(transforms.ToTensor()(image), 256, antialias=True)
    tensor = transforms.CenterCrop(224)(tensor)[None].numpy()
    assert np.abs(got * np.array(std)[:, None, None] + np.array(mean)[:, None, None] - tensor).max() < 1.5 / 255


@pytest.mark.parametrize("options", [dict(quality=90), dict(quality=75, progressive=True), dict(quality=95, subsampling=0)])
def test_jpeg(tmp_path, options):
    data = encoded(picture(120, 155), "JPEG", **options)
    (tmp_path / "a.jpg").write_bytes(data)
    got = loaded(tmp_path / "a.jpg", tmp_path / "out", "scale=1")["arr_0"]
    expected = np.asarray(Image.open(io.BytesIO(data)).convert("RGB"), dtype=np.float32).transpose(2, 0, 1)[None]
    assert np.abs(got - expected).max() <= 1  # two builds of libjpeg-turbo may round apart


def test_png_kinds(tmp_path):
    rgb = picture(31, 45)
    kinds = {"gray": rgb.convert("L"), "bit": rgb.convert("1"), "palette": rgb.quantize(16), "rgba": rgb.convert("RGBA"),
             "gray_alpha": rgb.convert("LA")}
    for name, image in kinds.items():
        (tmp_path / f"{name}.png").write_bytes(encoded(image, "PNG"))
        got = loaded(tmp_path / f"{name}.png", tmp_path / name, "scale=1")["arr_0"]
        expected = np.asarray(image.convert("RGB"), dtype=np.float32).transpose(2, 0, 1)[None]
        np.testing.assert_array_equal(got, expected, err_msg=name)
    (tmp_path / "g.png").write_bytes(encoded(rgb, "PNG"))
    gray = loaded(tmp_path / "g.png", tmp_path / "g", "scale=1,color=gray")["arr_0"]
    np.testing.assert_array_equal(gray[0, 0], np.asarray(rgb.convert("L"), dtype=np.float32))


def test_damaged_images_are_one_line(tmp_path):
    for kind in ("PNG", "JPEG"):
        good = encoded(picture(40, 40), kind)
        for size in range(1, len(good) - 2, 97):
            path = tmp_path / f"{kind}{size}.{kind.lower()}"
            path.write_bytes(good[:size])
            result = dump(path, tmp_path / f"{kind}{size}", "scale=1")
            assert result.returncode == 1 and result.stderr.count("\n") == 1, (kind, size, result)
