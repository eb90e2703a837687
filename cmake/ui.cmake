# The web front end (ui/): target `ui` makes ${BAVN_UI_DIST} with index.html and assets/, which src/show/web puts into the binary.
# Without Node.js, or with -DBAVN_UI=OFF, the server shows its status page instead.
option(BAVN_UI "build the web front end (needs Node.js 20.19 or newer; tools/setup.sh gets one)" ON)
set(BAVN_UI_DIST ${CMAKE_BINARY_DIR}/ui/dist CACHE INTERNAL "where the built front end lies")
if(NOT BAVN_UI)
  return()
endif()
execute_process(COMMAND ${CMAKE_SOURCE_DIR}/tools/node.sh OUTPUT_VARIABLE node_folder OUTPUT_STRIP_TRAILING_WHITESPACE RESULT_VARIABLE missing)
if(missing)
  message(FATAL_ERROR "The web front end needs Node.js 20.19 or newer: run tools/setup.sh, or build without it: -DBAVN_UI=OFF")
endif()
set(ui ${CMAKE_SOURCE_DIR}/ui)
file(GLOB_RECURSE ui_sources CONFIGURE_DEPENDS ${ui}/src/*.ts ${ui}/src/*.svelte ${ui}/src/*.css ${ui}/src/fonts/*.woff2 ${ui}/public/* ${CMAKE_SOURCE_DIR}/i18n/ui/*.json
     ${CMAKE_SOURCE_DIR}/api/*.yaml)
list(FILTER ui_sources EXCLUDE REGEX "/src/generated/|\\.test\\.ts$")
set(with_node ${CMAKE_COMMAND} -E env "PATH=${node_folder}:$ENV{PATH}" BAVN_UI_OUT=${BAVN_UI_DIST})
# What package-lock.json names, nothing else, and no script of any package is run.
add_custom_command(
  OUTPUT ${ui}/node_modules/.package-lock.json
  COMMAND ${with_node} npm ci --ignore-scripts --no-audit --no-fund --loglevel=error
  DEPENDS ${ui}/package-lock.json
  WORKING_DIRECTORY ${ui}
  COMMENT "web front end: packages"
  VERBATIM)
add_custom_command(
  OUTPUT ${BAVN_UI_DIST}/index.html
  COMMAND ${with_node} npm run --silent build -- --logLevel warn
  DEPENDS ${ui_sources} ${ui}/node_modules/.package-lock.json ${ui}/package.json ${ui}/index.html ${ui}/vite.config.ts ${ui}/svelte.config.js ${ui}/tools/messages.mjs
          ${ui}/tools/contract.mjs
  WORKING_DIRECTORY ${ui}
  COMMENT "web front end"
  VERBATIM)
add_custom_target(ui DEPENDS ${BAVN_UI_DIST}/index.html)
