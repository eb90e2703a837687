#include "live/records.hpp"

#include "base/hash.hpp"
#include "base/text.hpp"

namespace bavn::live {

Result<std::string> open_record(const history::History& history, const event::Scope& scope, const alerts::Alert& alert,
                                const alerts::Example& example) {
  const auto wanted = static_cast<std::uint64_t>(example.line_hash);
  history::FrameText text;
  // A correlation has no hash: its place is all there is.
  const auto in_frame = [&](const history::FrameRef& ref) -> std::optional<std::string> {
    if (!history.read(scope, ref, text)) return std::nullopt;
    std::int64_t n = 0;
    for (const std::string_view line : split(text.lines(), '\n')) {
      ++n;
      if (wanted == 0 ? n == example.line : hash64(line) == wanted) return std::string(line);
    }
    return std::nullopt;
  };
  history::Filter filter;
  if (wanted != 0) filter.source = example.source;
  filter.municipality = MunicipalityId{static_cast<std::uint16_t>(alert.municipality)};
  const auto segments = history.segments(scope);
  for (const history::SegmentInfo& s : segments) {
    if (s.segment != example.segment) continue;
    BAVN_TRY(const auto refs, history.frames(scope, s, filter));
    for (const history::FrameRef& r : refs)
      if (r.info.frame == example.frame)
        if (auto found = in_frame(r)) return *found;
  }
  if (wanted != 0) {
    // Moved: the cold pass keeps the received day, and the frame's range holds the record's time.
    const std::int64_t at = example.happened_at_us != 0 ? example.happened_at_us : example.received_at_us;
    filter.from_us = filter.until_us = at;
    for (const history::SegmentInfo& s : segments) {
      if (!s.packed || s.day != history::day_of(example.received_at_us)) continue;
      BAVN_TRY(const auto refs, history.frames(scope, s, filter));
      for (const history::FrameRef& r : refs)
        if (auto found = in_frame(r)) return *found;
    }
  }
  return fail(Code::not_found, "the record is no longer in history");
}

}  // namespace bavn::live
