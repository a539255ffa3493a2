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
set(CMAKE_CXX_FLAGS_RELEASE "-O2")  # without NDEBUG: checks of programmer faults stay on

option(AUTOMODEL_WERROR "Warnings are errors" OFF)
set(AUTOMODEL_SANITIZE "" CACHE STRING "address, undefined, or both separated by a comma")

add_compile_options(-Wall -Wextra -Wno-unused-parameter -Wno-missing-field-initializers)
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
