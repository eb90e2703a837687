#pragma once
// inotify for several sources: tells them that something in their folders changed. Only ever a hint: what it misses (network file
// systems, a full queue, no watches left) polling finds.
// Life: after the Runtime, gone before it; the destructor ends its thread. Thread rules: any thread; callbacks come on its own.
#include <functional>
#include <memory>
#include <set>
#include <string>

#include "base/runtime.hpp"

namespace bavn::input::sources::files {

class FolderWatch {
 public:
  explicit FolderWatch(Runtime& runtime);
  ~FolderWatch();
  FolderWatch(const FolderWatch&) = delete;
  FolderWatch& operator=(const FolderWatch&) = delete;

  /// changed(names): names says that files came, went or were renamed. After remove() it is not called any more.
  int add(std::function<void(bool names)> changed);
  void folders(int client, std::set<std::string> folders);
  void remove(int client);

 private:
  struct Inner;
  std::shared_ptr<Inner> inner_;
};

}  // namespace bavn::input::sources::files
