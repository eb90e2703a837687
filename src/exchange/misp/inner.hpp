#pragma once
// What Misp is made of inside, for its routes. Not for other modules.
#include <array>
#include <atomic>
#include <functional>
#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "base/guarded.hpp"
#include "exchange/misp/book.hpp"
#include "exchange/misp/misp.hpp"
#include "exchange/misp/render.hpp"
#include "exchange/misp/search.hpp"
#include "match/indicators/allow_list.hpp"

namespace bavn::exchange::misp {

constexpr std::string_view kNodes = "misp:nodes";    // owner of sightings that nodes told
constexpr std::string_view kOwnEvents = "misp:own";  // owner of events that are made of our own indicators

struct WarningList {
  std::string name, type, description, category;
  std::int64_t version = 0;
  std::size_t entries = 0;
  match::indicators::AllowLists lists;
};

struct Taxonomy {
  std::string_view json;  // of the file
  std::string namespace_, description;
  std::int64_t version = 0;
  bool exclusive = false;
  struct Entry {
    std::string tag, expanded, colour;
  };
  std::vector<Entry> entries;
};

/// One request, taken apart.
struct Call {
  const net::Request& q;
  Viewer viewer;
  std::string controller{}, action{};
  std::vector<std::string> words{};                          // /events/view/5 -> "5"
  std::vector<std::pair<std::string, std::string>> named{};  // /limit:5; also those of ?limit=5

  std::string_view word(std::size_t i = 0) const {
    return i < words.size() ? std::string_view(words[i]) : std::string_view();
  }
  std::string_view name(std::string_view key) const {
    for (const auto& [k, v] : named)
      if (k == key) return v;
    return {};
  }
  bool posts() const { return q.method == net::Method::post || q.method == net::Method::put; }
  Result<net::JsonDocument> body() const;  // of an empty body: {}
};

struct Misp::Inner {
  Inner(Runtime& r, store::State& s, MispOptions o);
  Runtime& runtime;
  store::State& state;
  MispOptions options;
  MispLinks links{};
  Book book;
  std::string version;
  std::size_t largest_body = 0;
  bool at_root = true;
  bool tells_sightings = false;
  std::int64_t sightings_a_day = 100;
  std::vector<WarningList> warning_lists{};
  std::vector<Taxonomy> taxonomies{};
  QueueId queue{};

  Sink sink() { return {runtime, options.folder + "/misp-answers"}; }
  Result<std::map<std::string, bool>> switches(std::string_view kind);
  Result<void> set_switch(std::string_view kind, std::string_view name, bool enabled, std::string_view who);
  /// Lists that have the value and are on: (index, matched).
  std::vector<std::size_t> listed(std::string_view value, std::string_view type,
                                  const std::map<std::string, bool>& on) const;
  void load_lists();

  net::Reply answer(const net::Request& q);
  net::Reply dispatch(Call& c);
  // One controller each; nothing: there is no such action.
  std::optional<net::Reply> events(Call& c);
  std::optional<net::Reply> attributes(Call& c);
  std::optional<net::Reply> objects(Call& c);
  std::optional<net::Reply> references(Call& c);
  std::optional<net::Reply> sightings(Call& c);
  std::optional<net::Reply> tags(Call& c);
  std::optional<net::Reply> feeds(Call& c);
  std::optional<net::Reply> servers(Call& c);
  std::optional<net::Reply> lists(Call& c);         // warninglists
  std::optional<net::Reply> vocabularies(Call& c);  // taxonomies
  std::optional<net::Reply> others(Call& c);
  std::optional<net::Reply> feed_out(Call& c);
  net::Reply search(Call& c, Scope scope);
  net::Reply tag_of(Call& c, std::string_view id, std::string_view tag, bool local, std::string_view relationship,
                    bool attach);

  Result<void> indicators_of(std::int64_t event, std::string_view mode);
  /// Our own indicators that changed since, as events: one a source, day and marking.
  Result<void> own_events();
  /// A node told how often it saw an indicator.
  Result<void> node_saw(const store::DomainEvent& e);
};

// Answers in MISP's words.
net::Reply fault(const Call& c, int status, std::string_view name, std::string_view message);
net::Reply fault(const Call& c, const Error& error);
net::Reply done(const Call& c, std::string_view message, std::string_view id = {});
net::Reply not_there(const Call& c, std::string_view what);  // "Invalid event"
net::Reply not_yours(const Call& c);
/// A value or the answer that says why not.
#define BAVN_MISP_TRY(decl, call, expr)                                                                \
  auto BAVN_CONCAT(bavn_try_, __LINE__) = (expr);                                                      \
  if (!BAVN_CONCAT(bavn_try_, __LINE__)) return fault(call, BAVN_CONCAT(bavn_try_, __LINE__).error()); \
  decl = std::move(*BAVN_CONCAT(bavn_try_, __LINE__))
#define BAVN_MISP_CHECK(call, expr)                                                      \
  if (auto BAVN_CONCAT(bavn_try_, __LINE__) = (expr); !BAVN_CONCAT(bavn_try_, __LINE__)) \
  return fault(call, BAVN_CONCAT(bavn_try_, __LINE__).error())

}  // namespace bavn::exchange::misp
