// edge_lower MODEL.pt2 OUT.pte: lowers a program with no backend, for tests. Several programs, one tool run:
// edge_lower A.pt2 A.pte B.pt2 B.pte ...
#include <cstdio>
#include <exception>

#include <intaglio/edge.h>
#include <intaglio/pt2.h>

int main(int argc, char** argv) {
  if (argc < 3 || argc % 2 == 0) {
    std::fprintf(stderr, "usage: edge_lower MODEL.pt2 OUT.pte [MODEL.pt2 OUT.pte ...]\n");
    return 2;
  }
  int status = 0;
  for (int i = 1; i + 1 < argc; i += 2) {
    try {
      intaglio::to_edge_transform_and_lower(intaglio::load_exported_program(argv[i]), {}).to_executorch().save(argv[i + 1]);
    } catch (const std::exception& error) {
      std::fprintf(stderr, "%s: %s\n", argv[i], error.what());
      status = 1;
    }
  }
  return status;
}
