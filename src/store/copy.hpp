#pragma once
// Copying a database to a new file: what State::backup and StateFile::copy_to share.
#include <string>

#include "store/sql/engine.hpp"

namespace bavn::store {

/// Written beside under another name, checked, then renamed: `path` is a whole copy or is not there. Mode 0600.
Result<void> copy_database(Connection& from, const std::string& path);

}  // namespace bavn::store
