// data_dump FILE FOLDER [PREPROCESS]: writes every array of a sample file to FOLDER/NAME.npy, for the oracle tests.
#include <cstdio>
#include <filesystem>

#include <intaglio/data.h>
#include <intaglio/error.h>

int main(int argc, char** argv) try {
  if (argc < 3) return 2;
  const std::filesystem::path folder = argv[2];
  if (argc > 3) {
    const auto tensor = intaglio::to_tensor(intaglio::read_image(argv[1]), intaglio::parse_preprocess(argv[3]));
    intaglio::write_npy(folder / "arr_0.npy", tensor);
    return 0;
  }
  const auto arrays = intaglio::read_arrays(std::filesystem::path(argv[1]));
  for (const auto& array : arrays) intaglio::write_npy(folder / (array.name + ".npy"), array.tensor);
  return 0;
} catch (const intaglio::Error& error) {
  std::fprintf(stderr, "%s\n", error.what());
  return 1;
}
