#pragma once
// Domains that look like one's own: letters that are drawn alike, a letter more or less, æøå written otherwise, the town's name with
// a municipal word beside it. Nothing is enumerated: names that were seen are compared with the few that are protected.
// Thread rules: immutable after construction.
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace bavn::input::microsoft365 {

class Lookalikes {
 public:
  /// own: the municipality's domains, "fjordby-kommune.example".
  explicit Lookalikes(std::vector<std::string> own);
  /// Why the domain looks like one of ours; nullopt when it does not, or is ours (or below it).
  std::optional<std::string> judge(std::string_view domain) const;

 private:
  struct Own {
    std::string domain, label, skeleton, town;
  };
  std::vector<Own> own_;
};

/// What is drawn alike is one letter: "rn" m, "0" o, Cyrillic "а" a; "æ" ae, "ø" o, "å" a. For comparing, never for showing.
std::string skeleton(std::string_view label);
/// Edits (insert, delete, replace, swap of neighbours) between two, at most `limit` + 1.
unsigned edits(std::string_view a, std::string_view b, unsigned limit);

}  // namespace bavn::input::microsoft365
