# The headers of msgpack-cxx. Not its own CMake package: its name differs from release to release, and it asks for Boost.
find_path(MsgpackHeaders_INCLUDE_DIR msgpack/unpack.hpp)

include(FindPackageHandleStandardArgs)
find_package_handle_standard_args(MsgpackHeaders REQUIRED_VARS MsgpackHeaders_INCLUDE_DIR
  REASON_FAILURE_MESSAGE "install libmsgpack-cxx-dev (Debian), msgpack-cxx (Homebrew), msgpack (vcpkg), or set CMAKE_PREFIX_PATH")

if(MsgpackHeaders_FOUND AND NOT TARGET MsgpackHeaders::MsgpackHeaders)
  add_library(MsgpackHeaders::MsgpackHeaders INTERFACE IMPORTED)
  set_target_properties(MsgpackHeaders::MsgpackHeaders PROPERTIES
    INTERFACE_INCLUDE_DIRECTORIES "${MsgpackHeaders_INCLUDE_DIR}")
endif()
mark_as_advanced(MsgpackHeaders_INCLUDE_DIR)
