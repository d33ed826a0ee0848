// write_reference CONVERTED.pt2 OUT.pt2 intaglio|torchao: the reference representation of a program that has been converted.
#include <iostream>
#include <string_view>

#include <intaglio/pt2.h>
#include <intaglio/pt2e.h>

int main(int argc, char** argv) {
  if (argc != 4) return 2;
  try {
    intaglio::ExportedProgram program = intaglio::load_exported_program(argv[1]);
    const bool theirs = std::string_view(argv[3]) == "torchao";
    intaglio::to_reference_representation(program, theirs ? intaglio::Compat::torchao : intaglio::Compat::intaglio);
    intaglio::save_exported_program(program, argv[2]);
  } catch (const std::exception& error) {
    std::cerr << error.what() << "\n";
    return 1;
  }
  return 0;
}
