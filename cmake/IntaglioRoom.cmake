# intaglio_room(NAME [COLD] [DEPENDS rooms...] [LINK libraries...] [COMPILE_OPTIONS options...] [SOURCES files...] [EXCLUDE folders...])
#
# A static library `intaglio_NAME` from the *.cpp of the folder and of the folders in it (those of EXCLUDE apart), and from
# the files beside them:
#   *_test.cpp   one GoogleTest program `NAME_test`
#   *_fuzz.cpp   one libFuzzer program each (with INTAGLIO_FUZZ)
#   *_bench.cpp  one Google Benchmark program `NAME_bench` (with INTAGLIO_BENCH)
#
# COLD: no loop over elements of tensors is in it, so that a Release build need not wait for more than -Og and the inlining of
# small functions: a quarter less time to compile than -O1, a twentieth more to run. GCC takes parts of std::optional for uninitialized then.
set(INTAGLIO_COLD $<$<CONFIG:Release>:-Og;-finline-functions-called-once;-finline-small-functions;-finline-functions;-Wno-maybe-uninitialized>)

function(intaglio_room NAME)
  cmake_parse_arguments(ROOM "COLD" "" "DEPENDS;LINK;COMPILE_OPTIONS;SOURCES;EXCLUDE" ${ARGN})
  file(GLOB_RECURSE sources CONFIGURE_DEPENDS RELATIVE ${CMAKE_CURRENT_SOURCE_DIR} *.cpp)
  foreach(folder ${ROOM_EXCLUDE})
    list(FILTER sources EXCLUDE REGEX "^${folder}/")
  endforeach()
  set(tests ${sources})
  set(fuzzers ${sources})
  set(benches ${sources})
  list(FILTER sources EXCLUDE REGEX "(_test|_fuzz|_bench|_main)\\.cpp$")
  list(FILTER tests INCLUDE REGEX "_test\\.cpp$")
  list(FILTER fuzzers INCLUDE REGEX "_fuzz\\.cpp$")
  list(FILTER benches INCLUDE REGEX "_bench\\.cpp$")

  add_library(intaglio_${NAME} STATIC ${sources} ${ROOM_SOURCES})
  target_include_directories(intaglio_${NAME} PUBLIC ${PROJECT_SOURCE_DIR}/include ${PROJECT_SOURCE_DIR}/src)
  target_link_libraries(intaglio_${NAME} PUBLIC fmt::fmt Threads::Threads)
  foreach(dependency ${ROOM_DEPENDS})
    target_link_libraries(intaglio_${NAME} PUBLIC intaglio_${dependency})
  endforeach()
  target_link_libraries(intaglio_${NAME} PUBLIC ${ROOM_LINK})
  target_compile_options(intaglio_${NAME} PRIVATE ${ROOM_COMPILE_OPTIONS} $<$<BOOL:${ROOM_COLD}>:${INTAGLIO_COLD}>)
  # Where a build takes several files in one go: half of the time goes into headers, so the larger the better.
  set_target_properties(intaglio_${NAME} PROPERTIES UNITY_BUILD_BATCH_SIZE 32)

  if(INTAGLIO_TESTS AND tests)
    add_executable(${NAME}_test ${tests})
    target_compile_options(${NAME}_test PRIVATE ${INTAGLIO_COLD})
    target_link_libraries(${NAME}_test PRIVATE intaglio_${NAME} intaglio_testing GTest::gtest GTest::gtest_main)
    add_test(NAME ${NAME} COMMAND ${NAME}_test)
  endif()
  if(INTAGLIO_FUZZ)
    foreach(fuzzer ${fuzzers})
      get_filename_component(stem ${fuzzer} NAME_WE)
      add_executable(${stem} ${fuzzer})
      target_link_libraries(${stem} PRIVATE intaglio_${NAME})
      target_link_options(${stem} PRIVATE -fsanitize=fuzzer)
    endforeach()
  endif()
  if(INTAGLIO_BENCH AND benches)
    find_package(benchmark REQUIRED)
    add_executable(${NAME}_bench ${benches})
    target_link_libraries(${NAME}_bench PRIVATE intaglio_${NAME} benchmark::benchmark benchmark::benchmark_main)
  endif()
endfunction()
