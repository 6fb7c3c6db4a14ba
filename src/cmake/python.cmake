# The Cython module, and the OpenMP runtime that travels in the wheel.
find_package(Python REQUIRED COMPONENTS Interpreter Development.Module ${SKBUILD_SABI_COMPONENT})

# --depfile makes an edit of a .pxd rebuild the module.
file(GLOB FASTCONV_CYTHON_SOURCES CONFIGURE_DEPENDS fastconv/*.pyx fastconv/*.pxd fastconv/*.pxi)
add_custom_command(
  OUTPUT ${CMAKE_CURRENT_BINARY_DIR}/_core.c
  COMMAND Python::Interpreter -m cython -3 --depfile --output-file
          ${CMAKE_CURRENT_BINARY_DIR}/_core.c ${CMAKE_CURRENT_SOURCE_DIR}/fastconv/_core.pyx
  DEPENDS ${FASTCONV_CYTHON_SOURCES}
  DEPFILE ${CMAKE_CURRENT_BINARY_DIR}/_core.c.dep
  VERBATIM)
if(SKBUILD_SABI_VERSION)
  python_add_library(_core MODULE ${CMAKE_CURRENT_BINARY_DIR}/_core.c USE_SABI
                     ${SKBUILD_SABI_VERSION} WITH_SOABI)
  target_compile_definitions(_core PRIVATE CYTHON_LIMITED_API=1)
else() # free-threaded interpreters have no stable ABI
  python_add_library(_core MODULE ${CMAKE_CURRENT_BINARY_DIR}/_core.c WITH_SOABI)
endif()
target_compile_options(_core PRIVATE -O2)
target_link_libraries(_core PRIVATE fastconv)
set_target_properties(_core PROPERTIES INSTALL_RPATH "$ORIGIN/lib")
install(TARGETS _core LIBRARY DESTINATION ${FASTCONV_PREFIX})

# libgomp under its plain SONAME, beside libfastconv with RPATH $ORIGIN: the loader then
# takes whichever copy the process already has, ours or another package's, so there is
# never a second OpenMP runtime.
execute_process(COMMAND ${CMAKE_CXX_COMPILER} -print-file-name=libgomp.so.1
                OUTPUT_VARIABLE libgomp OUTPUT_STRIP_TRAILING_WHITESPACE)
if(IS_ABSOLUTE "${libgomp}")
  file(REAL_PATH "${libgomp}" libgomp)
  install(FILES "${libgomp}" DESTINATION ${FASTCONV_PREFIX}lib RENAME libgomp.so.1)
endif()
