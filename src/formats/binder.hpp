#pragma once
// Binder: one format's paths against one FieldPlan: which slots a path feeds, its role, whether it is the time, whether it
// decides the route. Asked once per new path and cached by the readers. Life: built per Reader, immutable.
#include <string>
#include <string_view>
#include <unordered_map>
#include <unordered_set>
#include <vector>

#include "base/hash.hpp"
#include "event/plan.hpp"
#include "formats/description.hpp"

namespace bavn::formats {

enum class PairPart : std::uint8_t { none, name, value };

struct Binding {
  std::vector<event::Slot> slots;
  event::Role role = event::Role::none;
  std::int8_t time_rank = -1;  // 0 is asked first
  bool route = false;          // its value decides the route
  bool unwrap = false;         // holds the whole record as JSON
  bool text = false;           // holds a line for the text readers
  bool url = false;            // feeds c-uri: its host, path and extension are fields too
  PairPart pair = PairPart::none;
  std::uint8_t beside = 0;  // what it says of the line of text beside it: kProgram, kHost, kPid
  static constexpr std::uint8_t kProgram = 1, kHost = 2, kPid = 4;
  bool wanted() const {
    return !slots.empty() || role != event::Role::none || time_rank >= 0 || route || unwrap || text || url ||
           pair != PairPart::none || beside != 0;
  }
};

using NameSet = std::unordered_set<std::string, StringHash, std::equal_to<>>;
template <class T>
using NameMap = std::unordered_map<std::string, T, StringHash, std::equal_to<>>;

/// Every proper prefix (cut at dots) of the plan's dotted names; shared by the binders of one plan.
NameSet dotted_prefixes(const event::FieldPlan& plan);

class Binder {
 public:
  /// learn: not null in explain mode; then every name is wanted and added to it.
  Binder(const Description& d, const event::FieldPlan& plan, const NameSet& plan_prefixes,
         event::FieldPlan* learn = nullptr);
  Binding resolve(std::string_view path) const;
  /// Is anything wanted strictly below this path?
  bool below(std::string_view path) const;
  /// The short-name twin of a pair array's element name, as a path to resolve: "<path>.<name>" or "<name>".
  const PairArray* pair_at(std::string_view path) const;

 private:
  void names_of(std::string_view path, std::vector<std::string_view>& out) const;
  const Description& d_;
  const event::FieldPlan& plan_;
  const NameSet& plan_prefixes_;
  event::FieldPlan* learn_;
  NameMap<std::vector<std::string>> aliases_;  // path -> rule fields
  NameMap<event::Role> roles_;
  NameMap<std::int8_t> times_;
  NameSet routes_, prefixes_;
};

}  // namespace bavn::formats
