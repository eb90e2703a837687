#include "input/sources/microsoft365/lookalikes.hpp"

#include <fmt/format.h>
#include <idn2.h>

#include <algorithm>
#include <array>

#include "base/text.hpp"
#include "event/domain.hpp"

namespace bavn::input::microsoft365 {
namespace {

constexpr std::array<std::pair<std::string_view, std::string_view>, 34> kAlike = {{
    {"rn", "m"}, {"vv", "w"}, {"cl", "d"}, {"æ", "ae"}, {"ø", "o"}, {"oe", "o"}, {"å", "a"}, {"aa", "a"}, {"ä", "a"},
    {"ö", "o"},  {"ü", "u"},  {"é", "e"},  {"0", "o"},  {"1", "l"}, {"3", "e"},  {"5", "s"}, {"i", "l"},  {"-", ""},
    {"а", "a"},  {"е", "e"},  {"о", "o"},  {"р", "p"},  {"с", "c"}, {"у", "y"},  {"х", "x"}, {"і", "l"},  {"ј", "j"},
    {"ѕ", "s"},  {"һ", "h"},  {"ԁ", "d"},  {"ո", "n"},  {"α", "a"}, {"ο", "o"},  {"ν", "v"},
}};
constexpr std::array<std::string_view, 9> kMunicipal = {"kommune", "kommunen",      "borger",  "digitalpost", "mit",
                                                        "min",     "selvbetjening", "faktura", "login"};

/// The part before the public suffix; "kommune.no" and the like are suffixes in the public list.
std::string label_of(std::string_view domain) {
  const auto whole = event::registrable_domain(domain);
  const std::string_view name = whole.empty() ? domain : std::string_view(whole);
  return std::string(name.substr(0, name.find('.')));
}

}  // namespace

std::string skeleton(std::string_view label) {
  const std::string lower = to_lower_utf8(label);
  std::string out;
  for (std::size_t at = 0; at < lower.size();) {
    const auto found = std::find_if(kAlike.begin(), kAlike.end(), [&](const auto& pair) {
      return std::string_view(lower).substr(at).starts_with(pair.first);
    });
    if (found == kAlike.end()) {
      out += lower[at++];
    } else {
      out += found->second;
      at += found->first.size();
    }
  }
  return out;
}

unsigned edits(std::string_view a, std::string_view b, unsigned limit) {
  if (a.size() > 64 || b.size() > 64 || std::max(a.size(), b.size()) - std::min(a.size(), b.size()) > limit)
    return limit + 1;
  std::array<std::array<unsigned, 65>, 3> row{};  // optimal string alignment: the last two rows are enough
  for (unsigned j = 0; j <= b.size(); ++j) row[0][j] = j;
  for (unsigned i = 1; i <= a.size(); ++i) {
    auto& now = row[i % 3];
    const auto& before = row[(i + 2) % 3];
    const auto& two_before = row[(i + 1) % 3];
    now[0] = i;
    for (unsigned j = 1; j <= b.size(); ++j) {
      now[j] = std::min({before[j] + 1, now[j - 1] + 1, before[j - 1] + (a[i - 1] == b[j - 1] ? 0U : 1U)});
      if (i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1])
        now[j] = std::min(now[j], two_before[j - 2] + 1);
    }
  }
  return std::min(row[a.size() % 3][b.size()], limit + 1);
}

Lookalikes::Lookalikes(std::vector<std::string> own) {
  for (auto& domain : own) {
    Own o{.domain = to_lower_utf8(domain), .label = {}, .skeleton = {}, .town = {}};
    o.label = label_of(o.domain);
    o.skeleton = skeleton(o.label);
    o.town = o.label.substr(0, o.label.find("-kommune"));
    if (o.town.ends_with("kommune")) o.town.resize(o.town.size() - 7);
    own_.push_back(std::move(o));
  }
}

std::optional<std::string> Lookalikes::judge(std::string_view domain) const {
  std::string lower = to_lower_utf8(domain);
  if (lower.contains("xn--")) {  // as people see it
    char* shown = nullptr;
    if (idn2_to_unicode_8z8z(lower.c_str(), &shown, 0) == IDN2_OK) lower = to_lower_utf8(shown);
    idn2_free(shown);
  }
  for (const auto& o : own_)
    if (lower == o.domain || lower.ends_with("." + o.domain)) return std::nullopt;
  const std::string label = label_of(lower), bones = skeleton(label);
  for (const auto& o : own_) {
    if (label == o.label) return fmt::format("{} under another ending", o.domain);
    if (bones == o.skeleton) return fmt::format("drawn like {}", o.domain);
    const unsigned near = o.label.size() >= 10 ? 2 : o.label.size() >= 6 ? 1 : 0;
    if (near > 0 && edits(label, o.label, near) <= near) return fmt::format("a letter away from {}", o.domain);
    if (o.town.size() >= 5 && label.contains(o.town) && label != o.town)
      for (const auto word : kMunicipal)
        if (label.contains(word)) return fmt::format("the name of {} with a municipal word", o.domain);
  }
  return std::nullopt;
}

}  // namespace bavn::input::microsoft365
