# cmake --install build/release --prefix DIR: the program with its data, and the libraries for find_package(hidreamer).
#   bin/                     hidreamer and the program that it starts
#   share/hidreamer/         configs, trained agents and ROMs, where the program looks for them
#   include/hidreamer/       headers
#   lib/hidreamer/           hidreamer::NAME for each folder NAME of src/hidreamer/; ale/ with the Arcade Learning Environment
#   lib/cmake/hidreamer/     the package
include(GNUInstallDirs)
include(CMakePackageConfigHelpers)
set(libraries "${CMAKE_INSTALL_LIBDIR}/hidreamer")
set(package "${CMAKE_INSTALL_LIBDIR}/cmake/hidreamer")

get_property(targets GLOBAL PROPERTY HID_LIBRARIES)
install(TARGETS ${targets} EXPORT hidreamer ARCHIVE DESTINATION "${libraries}" OBJECTS DESTINATION "${libraries}")
install(TARGETS hidreamer hidreamer_program)
install(DIRECTORY src/hidreamer TYPE INCLUDE FILES_MATCHING PATTERN "*.h" PATTERN "test_*.h" EXCLUDE)
install(DIRECTORY configs DESTINATION share/hidreamer)
if(IS_DIRECTORY "${PROJECT_SOURCE_DIR}/models")
  install(DIRECTORY models DESTINATION share/hidreamer)
endif()
install(FILES LICENSE TYPE DOC)
# The man page and the shell's completion, written by the program itself.
foreach(command manual completion)
  install(CODE "execute_process(COMMAND \"${PROJECT_BINARY_DIR}/hidreamer\" ${command}
    OUTPUT_FILE \"${PROJECT_BINARY_DIR}/${command}\" COMMAND_ERROR_IS_FATAL ANY)")
endforeach()
install(FILES "${PROJECT_BINARY_DIR}/manual" DESTINATION "${CMAKE_INSTALL_MANDIR}/man1" RENAME hidreamer.1)
install(FILES "${PROJECT_BINARY_DIR}/completion" DESTINATION "${CMAKE_INSTALL_DATADIR}/bash-completion/completions" RENAME hidreamer)

install(EXPORT hidreamer NAMESPACE hidreamer:: FILE hidreamerTargets.cmake DESTINATION "${package}")
configure_package_config_file(cmake/hidreamerConfig.cmake.in hidreamerConfig.cmake INSTALL_DESTINATION "${package}")
write_basic_package_version_file(hidreamerConfigVersion.cmake COMPATIBILITY SameMinorVersion)
install(FILES "${PROJECT_BINARY_DIR}/hidreamerConfig.cmake" "${PROJECT_BINARY_DIR}/hidreamerConfigVersion.cmake"
  cmake/hidreamer_dependencies.cmake cmake/hidreamer_torch.cmake DESTINATION "${package}")

if(HID_WITH_ALE)
  # Its library alone knows where it lies: include/ and lib/ go along together.
  get_filename_component(ale_prefix "${ale_DIR}/../../.." ABSOLUTE)
  install(DIRECTORY "${ale_prefix}/include" "${ale_prefix}/lib" DESTINATION "${libraries}/ale")
  install(DIRECTORY "${ale_prefix}/roms" DESTINATION share/hidreamer OPTIONAL)
endif()
