# libtorch comes from the PyPI wheel that tools/setup unpacked; everything else from the distribution, static where it has an archive.
set(AUTOMODEL_DEPS "" CACHE PATH "folder into which tools/setup unpacked the wheels (holds torch/ and nvidia/)")
if(NOT AUTOMODEL_DEPS AND AUTOMODEL_CUDA)  # the GPU profile, if it is there; to compile the kernels the CPU's is enough
  execute_process(COMMAND ${CMAKE_SOURCE_DIR}/tools/setup --cuda --print-deps OUTPUT_VARIABLE deps OUTPUT_STRIP_TRAILING_WHITESPACE)
  if(EXISTS ${deps}/torch/lib/libtorch_cuda.so)
    set(AUTOMODEL_DEPS ${deps})
  endif()
endif()
if(NOT AUTOMODEL_DEPS)
  execute_process(COMMAND ${CMAKE_SOURCE_DIR}/tools/setup --print-deps OUTPUT_VARIABLE AUTOMODEL_DEPS
    OUTPUT_STRIP_TRAILING_WHITESPACE COMMAND_ERROR_IS_FATAL ANY)
endif()
if(NOT EXISTS ${AUTOMODEL_DEPS}/torch/lib/libtorch_cpu.so)
  message(FATAL_ERROR "libtorch was not found in '${AUTOMODEL_DEPS}'.\n"
    "Run tools/setup first (./test and ./quickstart do); another folder is given with -DAUTOMODEL_DEPS=...")
endif()

find_package(Threads REQUIRED)
find_package(nlohmann_json REQUIRED)
find_package(CLI11 REQUIRED)
find_package(GTest REQUIRED)

function(automodel_static name header archive)  # an imported static library of the distribution
  find_path(${name}_INCLUDE ${header} REQUIRED)
  find_library(${name}_ARCHIVE ${archive} REQUIRED)
  add_library(${name} STATIC IMPORTED GLOBAL)
  set_target_properties(${name} PROPERTIES IMPORTED_LOCATION ${${name}_ARCHIVE} INTERFACE_INCLUDE_DIRECTORIES ${${name}_INCLUDE})
endfunction()
automodel_static(yaml_cpp yaml-cpp/yaml.h libyaml-cpp.a)
automodel_static(pcre2_8 pcre2.h libpcre2-8.a)
automodel_static(utf8proc utf8proc.h libutf8proc.a)
automodel_static(libcrypto openssl/sha.h libcrypto.a)
automodel_static(zlib zlib.h libz.a)
automodel_static(zstd zstd.h libzstd.a)
automodel_static(rapidcheck rapidcheck.h librapidcheck.a)  # for tests
set_property(TARGET pcre2_8 APPEND PROPERTY INTERFACE_COMPILE_DEFINITIONS PCRE2_CODE_UNIT_WIDTH=8 PCRE2_STATIC)
set_property(TARGET utf8proc APPEND PROPERTY INTERFACE_COMPILE_DEFINITIONS UTF8PROC_STATIC)
# The distribution has no archive of fmt, and header-only every source compiles its functions once more: two seconds each.
find_path(fmt_INCLUDE fmt/format-inl.h REQUIRED)
add_library(automodel_fmt STATIC ${CMAKE_SOURCE_DIR}/cmake/fmt_library.cpp)
target_include_directories(automodel_fmt SYSTEM PUBLIC ${fmt_INCLUDE})
# Of libcurl only the declarations: net/ loads the library when the network is first needed.
find_path(libcurl_INCLUDE curl/curl.h REQUIRED)
add_library(libcurl_headers INTERFACE)
target_include_directories(libcurl_headers SYSTEM INTERFACE ${libcurl_INCLUDE})
target_link_options(libcrypto INTERFACE LINKER:--exclude-libs,libcrypto.a)  # a libcrypto.so loaded later keeps its own

set(torch_lib ${AUTOMODEL_DEPS}/torch/lib)
foreach(name c10 torch_cpu)
  add_library(torch_${name} SHARED IMPORTED GLOBAL)
  set_target_properties(torch_${name} PROPERTIES IMPORTED_LOCATION ${torch_lib}/lib${name}.so)
endforeach()
add_library(automodel_fmt_torch STATIC ${CMAKE_SOURCE_DIR}/cmake/fmt_library.cpp)
target_include_directories(automodel_fmt_torch SYSTEM PRIVATE ${AUTOMODEL_DEPS}/torch/include)
add_library(libtorch INTERFACE)
target_include_directories(libtorch SYSTEM INTERFACE
  ${AUTOMODEL_DEPS}/torch/include ${AUTOMODEL_DEPS}/torch/include/torch/csrc/api/include)
target_compile_definitions(libtorch INTERFACE AT_PER_OPERATOR_HEADERS USE_DISTRIBUTED)
target_link_libraries(libtorch INTERFACE automodel_fmt_torch torch_torch_cpu torch_c10)
# The wheel finds its own CUDA libraries by relative rpath; the program needs only the way to torch/lib.
target_link_options(libtorch INTERFACE LINKER:--disable-new-dtags LINKER:-rpath,${torch_lib} LINKER:--allow-shlib-undefined)

# Arrow comes from the pyarrow wheel; only libautomodel_arrow.so sees it.
set(arrow_dir ${AUTOMODEL_DEPS}/pyarrow)
if(EXISTS ${arrow_dir}/libparquet.so.2500)
  foreach(name arrow parquet)
    add_library(arrow_${name} SHARED IMPORTED GLOBAL)
    set_target_properties(arrow_${name} PROPERTIES IMPORTED_LOCATION ${arrow_dir}/lib${name}.so.2500)
  endforeach()
  add_library(libarrow INTERFACE)
  target_include_directories(libarrow SYSTEM INTERFACE ${arrow_dir}/include)
  target_link_libraries(libarrow INTERFACE arrow_parquet arrow_arrow)
  target_link_options(libarrow INTERFACE LINKER:--disable-new-dtags LINKER:-rpath,${arrow_dir} LINKER:--allow-shlib-undefined)
else()
  message(STATUS "Arrow was not found in ${arrow_dir}: this build will not read Parquet and Arrow files (run tools/setup)")
endif()
