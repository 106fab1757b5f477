# Uses ccache where it is installed. The sloppiness settings are what ccache needs to cache files that use the precompiled header.
find_program(HID_CCACHE ccache)
if(HID_CCACHE AND NOT CMAKE_CXX_COMPILER_LAUNCHER)
  set(CMAKE_CXX_COMPILER_LAUNCHER
    ${CMAKE_COMMAND} -E env
    "CCACHE_SLOPPINESS=pch_defines,time_macros,include_file_mtime,include_file_ctime"
    CCACHE_NOHASHDIR=1 "CCACHE_BASEDIR=${PROJECT_SOURCE_DIR}" CCACHE_MAXSIZE=10G ${HID_CCACHE})
endif()
