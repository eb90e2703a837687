#pragma once
// A folder that is there as long as this: for tests and benches.
#include <unistd.h>

#include <cstdlib>
#include <filesystem>
#include <string>
#include <string_view>

#include "base/result.hpp"

namespace bavn {

class TempFolder {
 public:
  explicit TempFolder(std::string_view name = "bavn") {
    std::string wanted = (std::filesystem::temp_directory_path() / name).string() + "-XXXXXX";
    const char* made = ::mkdtemp(wanted.data());
    BAVN_ASSERT(made != nullptr);
    path_ = made;
  }
  ~TempFolder() {
    std::error_code ignored;
    std::filesystem::remove_all(path_, ignored);
  }
  TempFolder(const TempFolder&) = delete;
  TempFolder& operator=(const TempFolder&) = delete;
  const std::filesystem::path& path() const { return path_; }
  std::string at(std::string_view name) const { return path_ / name; }

 private:
  std::filesystem::path path_;
};

}  // namespace bavn
