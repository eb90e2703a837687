// bavn indicators check|list|convert: lists of indicators outside of a running Bavn.
#include <fmt/format.h>

#include <cstdio>

#include "app/commands.hpp"
#include "app/data.hpp"
#include "app/indicator_report.hpp"
#include "base/json_writer.hpp"
#include "match/indicators/load.hpp"

namespace bavn::app {

namespace indicators = match::indicators;

namespace {

void print(const std::string& path, const indicators::LoadReport& r, bool json) {
  const std::pair<const char*, const std::map<std::string, indicators::LoadReport::Reason>*> groups[] = {
      {"refused", &r.refused}, {"skipped", &r.skipped}, {"notes", &r.notes}};
  if (json) {
    std::string out;
    JsonWriter w(out);
    append_json(w, path, r);
    fmt::print("{}\n", out);
    return;
  }
  fmt::print("{}: {} indicators taken ({}), {} refused, {} skipped", path, r.loaded, r.format, r.refused_count(),
             r.skipped_count());
  if (r.not_evaluated != 0) fmt::print(", {} patterns stored but not matched", r.not_evaluated);
  fmt::print("\n");
  for (const auto& [name, reasons] : groups)
    for (const auto& [reason, x] : *reasons)
      fmt::print("  {:>8} {} {}; first {} '{}'\n", x.count, name, reason, x.first_where, x.first_value);
}

void print(const indicators::Indicator& i, bool json) {
  const std::string_view kind = i.is_pattern() ? "pattern" : event::to_string(i.kind);
  if (!json) {
    fmt::print("{}\t{}\t{}\t{}\t{}\t{}\n", kind, i.value, i.source, i.confidence, event::to_string(i.tlp),
               indicators::to_string(i.action));
    return;
  }
  std::string out;
  JsonWriter w(out);
  w.object()
      .member("kind", kind)
      .member("value", i.value)
      .member("source", i.source)
      .member("confidence", static_cast<unsigned>(i.confidence));
  w.member("tlp", event::to_string(i.tlp)).member("action", indicators::to_string(i.action));
  if (i.valid_from != Instant{}) w.member("valid_from", format_time(i.valid_from));
  if (i.valid_until != Instant{}) w.member("valid_until", format_time(i.valid_until));
  if (!i.comment.empty()) w.member("comment", i.comment);
  w.end();
  fmt::print("{}\n", out);
}

}  // namespace

int indicators_command(const IndicatorsOptions& options) {
  indicators::IndicatorBuilder builder;
  bool unreadable = false, refused = false;
  const bool listing = options.action == "list";
  for (const std::string& path : options.files) {
    const auto report = listing ? indicators::load_file(path,
                                                        [&](const indicators::Indicator& i) -> Result<void> {
                                                          print(i, options.json);
                                                          return {};
                                                        })
                                : indicators::load_file(path, builder);
    if (!report) {
      fmt::print(stderr, "{}\n", to_string(report.error()));
      unreadable = true;
      continue;
    }
    refused = refused || report->refused_count() != 0;
    if (!listing) print(path, *report, options.json);
  }
  if (options.action == "convert") {
    if (unreadable) {
      fmt::print(stderr, "nothing was written: {} would not hold all that was named\n", options.out);
      return kFailed;
    }
    const auto base = builder.build();
    if (const auto ok = base->save(options.out); !ok) return failed(ok.error());
    fmt::print(stderr, "{}: {} indicators, {:.1f} MB\n", options.out, base->size(), megabytes(base->bytes()));
  }
  std::fflush(stdout);
  return unreadable ? kFailed : refused ? kPartly : kDone;
}

}  // namespace bavn::app
