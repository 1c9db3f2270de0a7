# libzmq wherever it is: Debian's package has pkg-config and no CMake package, vcpkg has a CMake package and no pkg-config.
find_path(ZeroMQClient_INCLUDE_DIR zmq.h)
find_library(ZeroMQClient_LIBRARY NAMES zmq libzmq libzmq-mt-4_3_5 libzmq-mt-4_3_4)

include(FindPackageHandleStandardArgs)
find_package_handle_standard_args(ZeroMQClient REQUIRED_VARS ZeroMQClient_LIBRARY ZeroMQClient_INCLUDE_DIR
  REASON_FAILURE_MESSAGE "install libzmq3-dev (Debian), zeromq (Homebrew, vcpkg), or set CMAKE_PREFIX_PATH")

if(ZeroMQClient_FOUND AND NOT TARGET ZeroMQClient::ZeroMQClient)
  add_library(ZeroMQClient::ZeroMQClient UNKNOWN IMPORTED)
  set_target_properties(ZeroMQClient::ZeroMQClient PROPERTIES
    IMPORTED_LOCATION "${ZeroMQClient_LIBRARY}" INTERFACE_INCLUDE_DIRECTORIES "${ZeroMQClient_INCLUDE_DIR}")
endif()
mark_as_advanced(ZeroMQClient_INCLUDE_DIR ZeroMQClient_LIBRARY)
