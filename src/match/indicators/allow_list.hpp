#pragma once
// Allow lists in the shape of MISP warninglists: {"name", "type": string | substring | hostname | cidr | regex, "list": [...]}. Asked
// only when an indicator has hit: a listed value is no news, the answer names the list.
// Thread rules: immutable after loading; check() from any thread.
#include <cstdint>
#include <map>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.hpp"
#include "event/observable.hpp"

namespace bavn::match::indicators {

class AllowLists {
 public:
  AllowLists();
  ~AllowLists();
  AllowLists(AllowLists&&) noexcept;
  AllowLists& operator=(AllowLists&&) noexcept;

  struct Report {
    std::size_t lists = 0, entries = 0;
    std::map<std::string, std::size_t> refused;  // reason -> entries or files
  };
  /// A list.json, or a folder that is searched for .json files (lists/<name>/list.json). Error: nothing of this shape was there.
  Result<Report> load(const std::string& path);
  Result<Report> load_bytes(std::string_view json, std::string_view name);

  /// The name of the first list that has this value, empty when none has. A URL is also asked for its host, a mail address for
  /// its domain (in hostname lists), an address for the networks around it; a network only for networks that hold all of it.
  std::string check(event::Kind kind, std::string_view canonical_value) const;
  std::size_t size() const;  // entries

 private:
  struct State;
  std::unique_ptr<State> state_;
};

}  // namespace bavn::match::indicators
