#pragma once
// The municipalities of a run: sizes, mailboxes, logs, mandates, drawn from a scenario and its seed. Names are real ones, domains end in
// .example, people are made up. Life: immutable once made. Thread rules: any thread.
#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "app/simulate/scenario.hpp"

namespace bavn::app::simulate {

struct Town {
  MunicipalityId id{};
  std::string code, name, region, size, domain;
  std::int64_t mailboxes = 0;
  bool connected = false, mandate = false;
  Sources logs;  // those it has

  bool has(std::string_view source) const { return logs.find(source) != logs.end(); }
};

class Towns {
 public:
  Towns(const Scenario& scenario, std::uint64_t seed);

  const std::vector<Town>& list() const { return list_; }
  const Town& operator[](std::size_t i) const { return list_[i]; }
  std::size_t size() const { return list_.size(); }
  static constexpr std::size_t kNone = SIZE_MAX;
  std::size_t of(MunicipalityId id) const;
  std::size_t of_domain(std::string_view domain) const;
  /// "anne.holm@Gentofte" -> the town, and "anne.holm@gentofte.example".
  /// "anne.holm@any": in a town with a node, drawn by the seed and the label.
  std::pair<std::size_t, std::string> account(std::string_view name_at_town, std::string_view label) const;
  /// Of the n-th mailbox of a town; the same person every time.
  std::string person(std::size_t town, std::int64_t n) const;
  static std::string function(const Town& town, std::uint64_t n);
  /// Those chosen; `drawn` ones by the seed, without those in `but`.
  std::vector<std::size_t> chosen(const TownChoice& choice, std::string_view label,
                                  const std::vector<std::size_t>& but = {}) const;
  std::string_view zone() const { return zone_; }

 private:
  std::vector<Town> list_;
  std::map<std::uint16_t, std::size_t> by_id_;
  std::map<std::string, std::size_t, std::less<>> by_domain_;
  std::uint64_t seed_;
  std::string zone_;
};

}  // namespace bavn::app::simulate
