# Flags for every target: C++20, warnings as errors where asked, ccache, mold, sanitizers.
set(CMAKE_CXX_STANDARD 20)
set(CMAKE_CXX_STANDARD_REQUIRED ON)
set(CMAKE_CXX_EXTENSIONS OFF)
set(CMAKE_POSITION_INDEPENDENT_CODE ON)
set(CMAKE_EXPORT_COMPILE_COMMANDS ON)
set(CMAKE_RUNTIME_OUTPUT_DIRECTORY ${CMAKE_BINARY_DIR}/bin)
if(NOT CMAKE_BUILD_TYPE)
  set(CMAKE_BUILD_TYPE Release CACHE STRING "" FORCE)
endif()
# Without NDEBUG: checks of programmer faults stay on. The vectoriser's own cost model serves the CPU kernels; the two -fno
# flags let it vectorise loops with rounding and square roots, and change no result.
set(CMAKE_CXX_FLAGS_RELEASE "-O2 -ftree-vectorize -fvect-cost-model=dynamic -fno-math-errno -fno-trapping-math -ffp-contract=fast")

# at::parallel_for is a template over OpenMP: without this flag it would run on one thread.
add_compile_options(-fopenmp)
add_link_options(-fopenmp)

# Another compiler has other warnings, which must not stop a user's build.
set(werror OFF)
if(CMAKE_CXX_COMPILER_ID STREQUAL GNU AND CMAKE_CXX_COMPILER_VERSION MATCHES "^12\\.")
  set(werror ON)
endif()
option(AUTOMODEL_WERROR "Warnings are errors (by default with g++ 12, which CI has)" ${werror})
set(AUTOMODEL_SANITIZE "" CACHE STRING "address, undefined, or both separated by a comma")

# g++ 12 sees uninitialised values inside nlohmann's iterators where there are none.
add_compile_options(-Wall -Wextra -Wno-unused-parameter -Wno-missing-field-initializers -Wno-maybe-uninitialized)
if(AUTOMODEL_WERROR)
  add_compile_options(-Werror)
endif()
if(AUTOMODEL_SANITIZE)
  add_compile_options(-fsanitize=${AUTOMODEL_SANITIZE} -fno-omit-frame-pointer -fno-sanitize-recover=all -g1)
  add_link_options(-fsanitize=${AUTOMODEL_SANITIZE})
endif()

find_program(AUTOMODEL_CCACHE ccache)
if(AUTOMODEL_CCACHE)
  # ccache sees through a precompiled header only with these sloppiness settings.
  set(CMAKE_CXX_COMPILER_LAUNCHER ${CMAKE_COMMAND} -E env
      CCACHE_SLOPPINESS=pch_defines,time_macros,include_file_mtime,include_file_ctime
      CCACHE_BASEDIR=${CMAKE_SOURCE_DIR} ${AUTOMODEL_CCACHE})
  add_compile_options(-fpch-preprocess)
endif()
find_program(AUTOMODEL_MOLD mold)
if(AUTOMODEL_MOLD)
  add_link_options(-fuse-ld=mold)
endif()
