#include "input/settings.hpp"

#include <algorithm>

namespace bavn::input {

namespace {

constexpr Setting kSettings[] = {
    {"input.files_in_flight",
     Unit::bytes,
     4LL << 20,
     {64 << 10, 256 << 20},
     "Of each source of files, what may be on its way to the history at once.",
     Restart::yes},
    {"input.files_open",
     Unit::none,
     128LL,
     {1, 10000},
     "Of each source of files, how many are kept open.",
     Restart::yes},
    {"input.files_forget",
     Unit::days,
     14LL,
     {1, 3650},
     "How long it is remembered how far a file was read that is gone; it may come back packed.",
     Restart::yes},
    {"input.syslog_hold",
     Unit::bytes,
     8LL << 20,
     {64 << 10, 1 << 30},
     "Of each syslog or RELP listener, what may wait for the history; then senders over TCP wait, and datagrams are "
     "dropped and counted.",
     Restart::yes},
};

}  // namespace

std::span<const Setting> settings() {
  return kSettings;
}

Limits Limits::from(const Settings& s) {
  Limits l;
  l.in_flight = static_cast<std::size_t>(s.integer("input.files_in_flight"));
  l.open_files = static_cast<std::size_t>(s.integer("input.files_open"));
  l.forget = std::chrono::days(s.integer("input.files_forget"));
  l.syslog_hold = static_cast<std::size_t>(s.integer("input.syslog_hold"));
  return l;
}

Limits Limits::guest() {
  Limits l;
  l.in_flight = 1U << 20U;
  l.open_files = 32;
  l.syslog_hold = 1U << 20U;
  return l;
}

void Limits::apply(SourcesFile& file) const {
  for (auto& f : file.files) {
    f.in_flight = in_flight;
    f.chunk = std::min(f.chunk, in_flight);
    f.max_open = open_files;
    f.forget = forget;
  }
  const auto listener = [&](sources::ListenerOptions& l) {
    l.hold = syslog_hold;
    l.batch = std::min(l.batch, syslog_hold / 4);
  };
  std::ranges::for_each(file.syslog, listener);
  std::ranges::for_each(file.relp, listener);
}

}  // namespace bavn::input
