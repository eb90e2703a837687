#pragma once
// What we know ourselves in MISP's words: an event for each source, day, marking and sectors, with ids that are the same every time, whether
// they are read over REST, from a file or from a feed in a folder.
// Thread rules: plain functions.
#include <cstddef>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/files.hpp"
#include "exchange/misp/book.hpp"
#include "exchange/peers/views.hpp"

namespace bavn::exchange::misp {

std::string_view type_for(const match::indicators::Indicator& indicator);
std::string value_for(const match::indicators::Indicator& indicator);

struct OutwardEvent {
  std::string source{}, day{};
  event::Tlp tlp = event::Tlp::red;
  std::vector<std::string> sectors{};
  std::vector<const Known*> list{};
  Instant changed{};  // of the newest in it
};
std::vector<OutwardEvent> outward_events(std::span<const Known* const> all);
/// {"uuid", "info", "date", ..., "Orgc", "Tag", "Attribute"}: what /events/add takes.
void append_event(std::string& out, const Org& own, const OutwardEvent& event, Instant at);

/// {"response":[{"Event":...}]}, as a search of events answers. For `bavn export --as misp`.
ExportView misp_view(Org own);

struct FeedWritten {
  std::size_t events = 0, hashes = 0, removed = 0;
};
/// events: what misp_view writes. The folder gets manifest.json, hashes.csv and a file for each event; events of an earlier feed in it that are
/// no more go. Readers never see a manifest whose events are not there yet.
Result<FeedWritten> write_feed(Files& files, const std::string& folder, std::string_view events);

}  // namespace bavn::exchange::misp
