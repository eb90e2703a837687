#pragma once
// FieldPlan: which fields are wanted, by name. Names are what rules call them (Sigma names: "CommandLine", "properties.message",
// "id.orig_h"); a format's description maps its paths to such names. Built once from rules, formats and settings, then immutable
// and shared by all readers and matchers.
#include <optional>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "base/hash.hpp"
#include "event/field.hpp"

namespace bavn::event {

class FieldPlan {
 public:
  /// Interns a name. At most 65,000 names; beyond that kNoSlot (counted by the caller).
  Slot add(std::string_view name) {
    if (auto it = slots_.find(name); it != slots_.end()) return it->second;
    if (names_.size() >= 65000) return kNoSlot;
    const auto slot = static_cast<Slot>(names_.size());
    names_.emplace_back(name);
    slots_.emplace(std::string(name), slot);
    return slot;
  }
  std::optional<Slot> slot(std::string_view name) const {
    auto it = slots_.find(name);
    return it == slots_.end() ? std::nullopt : std::optional(it->second);
  }
  std::string_view name(Slot s) const { return names_[s]; }
  std::size_t size() const { return names_.size(); }
  /// Readers then also emit every other leaf value with slot kNoSlot (keyword rules, text hunts).
  bool all_values = false;

 private:
  std::vector<std::string> names_;
  std::unordered_map<std::string, Slot, StringHash, std::equal_to<>> slots_;
};

}  // namespace bavn::event
