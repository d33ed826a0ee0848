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

find_program(FLATC flatc REQUIRED)

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
      COMMAND ${FLATC} --cpp --scoped-enums -I ${folder} -o ${OUTPUT_DIRECTORY} ${schema}
      DEPENDS ${schema})
    list(APPEND headers ${header})
  endforeach()
  set(INTAGLIO_FLATBUFFERS_HEADERS ${headers} PARENT_SCOPE)
endfunction()
