#include "input/sources/files/records.hpp"

#include <algorithm>
#include <array>
#include <vector>

#include "formats/bytes.hpp"
#include "formats/source.hpp"

namespace bavn::input::sources::files {

namespace {

constexpr std::string_view kEventEnd = "</Event>";
constexpr std::size_t kMaxDepth = 500;

Cut whole_lines(std::string_view bytes) {
  const std::size_t nl = bytes.rfind('\n');
  if (nl == std::string_view::npos) return {};
  Cut cut{0, nl + 1, nl + 1};
  while (cut.from < cut.to && bytes[cut.from] == '\0') ++cut.from;
  return cut;
}

/// Records are the objects at the outermost level or in the outermost array; what stands between them is of no interest.
Cut whole_objects(std::string_view bytes) {
  Cut cut;
  bool any = false, in_string = false, escaped = false;
  std::size_t depth = 0;
  for (std::size_t i = 0; i < bytes.size(); ++i) {
    const char c = bytes[i];
    if (in_string) {
      if (escaped) escaped = false;
      else if (c == '\\') escaped = true;
      else if (c == '"' || c == '\n') in_string = false;  // no JSON string holds a line end: it was not closed
      continue;
    }
    // At the left edge a brace begins a record: the one before it was broken, and waits for its end in vain.
    if (c == '{' && depth != 0 && i > 0 && bytes[i - 1] == '\n') {
      cut.to = cut.consumed = i;
      depth = 0;
    }
    if (depth == 0) {
      if (c == '{') {
        if (!any) cut.from = i;
        any = true;
        depth = 1;
      } else if (!any || c == '\n' || c == ']' || c == ',' || c == ' ' || c == '\r' || c == '\t') {
        cut.consumed = i + 1;
      }
      continue;
    }
    switch (c) {
      case '"': in_string = true; break;
      case '{':
      case '[': depth = std::min(depth + 1, kMaxDepth); break;
      case '}':
      case ']':
        if (--depth == 0) cut.to = cut.consumed = i + 1;
        break;
      default: break;
    }
  }
  if (cut.to < cut.from) cut.to = cut.from = cut.consumed;
  if (!any) cut.from = cut.to = cut.consumed;
  return cut;
}

Cut whole_events(std::string_view bytes) {
  const std::size_t end = bytes.rfind(kEventEnd);
  if (end == std::string_view::npos) return {};
  Cut cut{0, end + kEventEnd.size(), end + kEventEnd.size()};
  while (cut.consumed < bytes.size() && (bytes[cut.consumed] == '\n' || bytes[cut.consumed] == '\r')) ++cut.consumed;
  return cut;
}

bool begins_header(std::string_view line) {
  constexpr std::array<std::string_view, 4> kFirst = {"#separator ", "#Software: ", "#Version: ", "#Fields: "};
  return std::any_of(kFirst.begin(), kFirst.end(), [&](std::string_view k) { return line.starts_with(k); });
}

}  // namespace

Cut whole_records(Shape shape, std::string_view bytes) {
  switch (shape) {
    case Shape::json: return whole_objects(bytes);
    case Shape::xml: return whole_events(bytes);
    default: return whole_lines(bytes);
  }
}

Shape shape_of(std::string_view head) {
  if (formats::xml_events_mark(head)) return Shape::xml;
  return formats::looks_structured(head) ? Shape::json : Shape::lines;
}

std::string one_a_line(std::string_view records, jail::Parsers* parsers, std::size_t max_record,
                       const std::function<void(const std::string& reason, std::string_view detail)>& refused) {
  std::string out;
  if (parsers == nullptr && shape_of(records) == Shape::xml) {
    refused("xml_without_parser", {});
    return out;
  }
  formats::SourceOptions options;
  options.parsers = parsers;
  options.max_record = max_record;
  auto source = formats::Source::of_decoded(records, options);
  if (!source) refused("unreadable", source.error().what);
  event::EventBatch batch;
  while (source && !(*source)->done()) {
    const auto chunk = (*source)->next(batch);
    for (const event::Refusal& r : batch.refusals) refused(r.reason, r.detail);
    if (!chunk) {
      refused("unreadable", chunk.error().what);
      break;
    }
    // A record that was refused left an empty line.
    std::string_view rest = std::string_view(batch.raw).substr(chunk->from, chunk->to - chunk->from);
    while (!rest.empty()) {
      const std::size_t n = std::min(rest.find('\n'), rest.size() - 1) + 1;
      if (n > 1) out += rest.substr(0, n);
      rest.remove_prefix(n);
    }
  }
  return out;
}

bool without_zeros(std::string_view lines, std::string& out) {
  out.clear();
  if (lines.find('\0') == std::string_view::npos) return false;
  bool any = false;
  while (!lines.empty()) {
    const std::size_t end = std::min(lines.find('\n'), lines.size() - 1) + 1;
    const std::size_t zeros = std::min(lines.find_first_not_of('\0'), end);
    any = any || zeros != 0;
    out += lines.substr(zeros, end - zeros);
    lines.remove_prefix(end);
  }
  return any;
}

std::string_view header_block(std::string_view lines) {
  if (!begins_header(lines)) return {};
  std::size_t end = 0;
  while (end < lines.size() && lines[end] == '#') {
    const std::size_t nl = lines.find('\n', end);
    if (nl == std::string_view::npos) return lines;
    end = nl + 1;
  }
  return lines.substr(0, end);
}

std::size_t next_header(std::string_view lines) {
  bool data = !lines.starts_with('#');
  for (std::size_t at = lines.find('\n'); at != std::string_view::npos && at + 1 < lines.size();
       at = lines.find('\n', at + 1)) {
    if (lines[at + 1] != '#') data = true;
    else if (data && begins_header(lines.substr(at + 1))) return at + 1;
  }
  return std::string_view::npos;
}

}  // namespace bavn::input::sources::files
