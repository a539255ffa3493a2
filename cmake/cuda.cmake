# libautomodel_cuda.so: every .cu below automodel/, compiled by nvcc 13, and a few .cc, plain C++ on cuDNN's
# front end and cuBLASLt; linked with nothing but CUDA's runtime. The program never links it; it is loaded where a driver is there (automodel/kernels/cuda/library.h). CMake's own CUDA language
# is not used: it wants a whole toolkit at configure time, and tools/setup brings only the compiler.
option(AUTOMODEL_CUDA "Build the GPU kernels (needs nvcc 13, no GPU)" OFF)
set(AUTOMODEL_CUDA_ARCHS "90a" CACHE STRING "compute capabilities to build for, e.g. \"80;89;90a;120\"")

# Both sides are built from the same declarations or refuse each other: the version is their hash.
file(GLOB_RECURSE cuda_declarations CONFIGURE_DEPENDS
  ${CMAKE_SOURCE_DIR}/automodel/kernels/*_cuda.h ${CMAKE_SOURCE_DIR}/automodel/kernels/cuda/t*.h)
set(cuda_declared "")
foreach(header ${cuda_declarations})
  file(SHA256 ${header} hash)
  string(APPEND cuda_declared ${hash})
  set_property(DIRECTORY APPEND PROPERTY CMAKE_CONFIGURE_DEPENDS ${header})
endforeach()
string(SHA256 cuda_declared "${cuda_declared}")
string(SUBSTRING ${cuda_declared} 0 12 cuda_declared)
set(AUTOMODEL_CUDA_VERSION "${PROJECT_VERSION}-${cuda_declared}")

# "NAME==VERSION ..." of NVIDIA's wheels, for the program to tell a machine's other libraries from them.
set_property(DIRECTORY APPEND PROPERTY CMAKE_CONFIGURE_DEPENDS ${CMAKE_SOURCE_DIR}/tools/cuda.lock)
file(STRINGS ${CMAKE_SOURCE_DIR}/tools/cuda.lock AUTOMODEL_GPU_WHEELS REGEX "^nvidia-")
list(TRANSFORM AUTOMODEL_GPU_WHEELS REPLACE " .*" "")
list(JOIN AUTOMODEL_GPU_WHEELS " " AUTOMODEL_GPU_WHEELS)

function(automodel_find_nvcc)  # -> AUTOMODEL_NVCC, AUTOMODEL_CUDART
  if(NOT AUTOMODEL_NVCC)
    execute_process(COMMAND ${CMAKE_SOURCE_DIR}/tools/setup --print-nvcc OUTPUT_VARIABLE nvcc OUTPUT_STRIP_TRAILING_WHITESPACE
      COMMAND_ERROR_IS_FATAL ANY)
    set(AUTOMODEL_NVCC ${nvcc} CACHE FILEPATH "nvcc 13")
  endif()
  if(NOT EXISTS ${AUTOMODEL_NVCC})
    message(FATAL_ERROR "nvcc 13 was not found at '${AUTOMODEL_NVCC}'.\n"
      "Run tools/setup --cuda (or --nvcc, which is enough to compile); another one is given with -DAUTOMODEL_NVCC=...")
  endif()
  get_filename_component(toolkit ${AUTOMODEL_NVCC} DIRECTORY)
  get_filename_component(toolkit ${toolkit} DIRECTORY)
  find_library(AUTOMODEL_CUDART NAMES libcudart.so.13
    PATHS ${AUTOMODEL_DEPS}/nvidia/cu13/lib ${toolkit}/lib64 ${toolkit}/lib NO_DEFAULT_PATH REQUIRED)
endfunction()

function(automodel_cuda_plain_source name)  # NAME below automodel/, the folders of its headers; appends to objects
  if(ARGN MATCHES "NOTFOUND" AND "$ENV{AUTOMODEL_CUDA_WHOLE}")  # CI: what is left out would rot unseen
    message(FATAL_ERROR "The GPU library would lack ${name}: ${ARGN}. tools/setup --cuda-headers brings the headers.")
  endif()
  if(ARGN MATCHES "NOTFOUND")
    message(STATUS "The GPU library is built without ${name}: ${ARGN}")
    return()
  endif()
  set(source ${CMAKE_SOURCE_DIR}/automodel/${name})
  set(object ${CMAKE_BINARY_DIR}/cuda/automodel/${name}.o)
  get_filename_component(folder ${object} DIRECTORY)
  file(MAKE_DIRECTORY ${folder})
  list(TRANSFORM ARGN PREPEND -isystem OUTPUT_VARIABLE headers)
  add_custom_command(OUTPUT ${object} DEPENDS ${source} DEPFILE ${object}.d VERBATIM COMMENT "Compiling automodel/${name}"
    COMMAND ${AUTOMODEL_CCACHE} ${CMAKE_CXX_COMPILER} -std=c++20 -O2 -fPIC -fvisibility=hidden -Wall -Wextra -Werror
      -I${CMAKE_SOURCE_DIR} ${headers} -c ${source} -o ${object} -MD -MF ${object}.d)
  set(objects ${objects} ${object} PARENT_SCOPE)
endfunction()

if(AUTOMODEL_CUDA)
  automodel_find_nvcc()
  file(GLOB_RECURSE cuda_sources CONFIGURE_DEPENDS ${CMAKE_SOURCE_DIR}/automodel/*.cu)
  set(codes "")
  foreach(arch ${AUTOMODEL_CUDA_ARCHS})
    list(APPEND codes -gencode=arch=compute_${arch},code=sm_${arch})
  endforeach()
  string(REPLACE ";" " " archs_text "${AUTOMODEL_CUDA_ARCHS}")
  set(objects "")
  set(oldest "")
  foreach(source ${cuda_sources})
    file(RELATIVE_PATH name ${CMAKE_SOURCE_DIR} ${source})
    set(object ${CMAKE_BINARY_DIR}/cuda/${name}.o)
    get_filename_component(folder ${object} DIRECTORY)
    file(MAKE_DIRECTORY ${folder})
    add_custom_command(OUTPUT ${object} DEPENDS ${source} DEPFILE ${object}.d VERBATIM COMMENT "Compiling ${name}"
      COMMAND ${AUTOMODEL_CCACHE} ${AUTOMODEL_NVCC} -std=c++20 -O3 ${codes} -c ${source} -o ${object} -MD -MF ${object}.d
        -I${CMAKE_SOURCE_DIR} -Xcompiler=-fPIC,-fvisibility=hidden,-Wall,-Wextra -Werror=all-warnings
        -DAUTOMODEL_CUDA_VERSION="${AUTOMODEL_CUDA_VERSION}" "-DAUTOMODEL_CUDA_ARCHS=\"${archs_text}\"")
    list(APPEND objects ${object})
    # CI also holds the code to what the oldest GPU understands, Ampere, without optimising it: 20 s of one core.
    add_custom_command(OUTPUT ${object}.sm_80 DEPENDS ${source} DEPFILE ${object}.sm_80.d VERBATIM COMMENT "Compiling ${name} for sm_80"
      COMMAND ${AUTOMODEL_CCACHE} ${AUTOMODEL_NVCC} -std=c++20 -arch=sm_80 -cubin -Xptxas=-O0 -c ${source} -o ${object}.sm_80 -MD -MF ${object}.sm_80.d
        -I${CMAKE_SOURCE_DIR} -Werror=all-warnings "-DAUTOMODEL_CUDA_VERSION=\"\"" "-DAUTOMODEL_CUDA_ARCHS=\"80\"")
    list(APPEND oldest ${object}.sm_80)
  endforeach()
  if("$ENV{AUTOMODEL_CUDA_WHOLE}")
    add_custom_target(automodel_cuda_oldest ALL DEPENDS ${oldest})
  endif()
  get_filename_component(toolkit ${AUTOMODEL_NVCC}/../.. ABSOLUTE)
  # Headers of cuDNN and cuBLAS come with wheels of 370 and 420 MB, which a machine that only compiles need not keep (tools/setup
  # --cuda-headers brings the headers alone): a .cc whose header is missing is left out, and the program then takes libtorch's operators.
  execute_process(COMMAND ${CMAKE_SOURCE_DIR}/tools/setup --print-cuda-headers OUTPUT_VARIABLE headers OUTPUT_STRIP_TRAILING_WHITESPACE)
  set(wheels ${AUTOMODEL_DEPS} ${headers})
  list(TRANSFORM wheels APPEND /include OUTPUT_VARIABLE frontend_paths)
  list(TRANSFORM wheels APPEND /nvidia/cudnn/include OUTPUT_VARIABLE cudnn_paths)
  list(TRANSFORM wheels APPEND /nvidia/cu13/include OUTPUT_VARIABLE cublas_paths)
  find_path(AUTOMODEL_CUDNN_FRONTEND_INCLUDE cudnn_frontend.h PATHS ${frontend_paths} NO_DEFAULT_PATH)
  find_path(AUTOMODEL_CUDNN_INCLUDE cudnn.h PATHS ${cudnn_paths} ${toolkit}/include NO_DEFAULT_PATH)
  find_path(AUTOMODEL_CUBLASLT_INCLUDE cublasLt.h PATHS ${cublas_paths} ${toolkit}/include NO_DEFAULT_PATH)
  set(folders ${AUTOMODEL_DEPS}/nvidia/cu13/include ${toolkit}/include)
  automodel_cuda_plain_source(kernels/attention/attention_cudnn.cc ${AUTOMODEL_CUDNN_FRONTEND_INCLUDE} ${AUTOMODEL_CUDNN_INCLUDE} ${folders})
  automodel_cuda_plain_source(kernels/product/product_lt.cc ${AUTOMODEL_CUBLASLT_INCLUDE} ${folders})
  add_library(automodel_cuda SHARED ${objects})
  set_target_properties(automodel_cuda PROPERTIES LINKER_LANGUAGE CXX LIBRARY_OUTPUT_DIRECTORY ${CMAKE_BINARY_DIR}/lib)
  target_link_libraries(automodel_cuda PRIVATE ${AUTOMODEL_CUDART})
endif()
