#include "cli/cli.h"

int main(int argc, char** argv) { return intaglio::cli::main(argc, argv); }
