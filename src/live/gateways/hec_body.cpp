#include "live/gateways/hec_body.hpp"

#include <emmintrin.h>
#include <simdjson.h>

#include <algorithm>
#include <bit>
#include <cstring>

#include "base/json_writer.hpp"
#include "base/text.hpp"

namespace bavn::live {

namespace {

bool is_space(char c) {
  return c == ' ' || c == '\t' || c == '\n' || c == '\r';
}

/// The characters that give JSON its structure, one after the other: `{}[]` outside strings, and `,:` where they are asked for. Strings are
/// known by the parity of the quotes before a place, 64 bytes at a time (as in Langdale and Lemire, "Parsing gigabytes of JSON per second",
/// 2019). Not a check: simdjson makes that.
class Structure {
 public:
  explicit Structure(std::string_view s) : s_(s) {}
  /// Where the next one stands; the end of all when there is none.
  std::size_t next(bool separators) {
    for (;;) {
      if (const std::uint64_t here = (brackets_ | (separators ? separators_ : 0)) & ahead_; here != 0) {
        ahead_ = ~((here & -here) | ((here & -here) - 1));
        return block_ + static_cast<std::size_t>(std::countr_zero(here));
      }
      if (next_block_ >= s_.size()) return s_.size();
      load();
    }
  }

 private:
  void load() {
    block_ = next_block_;
    next_block_ += 64;
    ahead_ = ~0ULL;
    if (s_.size() - block_ >= 64) return classify(s_.data() + block_);
    char last[64];
    std::memset(last, ' ', sizeof last);
    std::memcpy(last, s_.data() + block_, s_.size() - block_);
    classify(last);
  }
  void classify(const char* p) {
    std::uint64_t quotes = 0, slashes = 0;
    brackets_ = separators_ = 0;
    for (unsigned i = 0; i < 4; ++i) {
      const __m128i v = _mm_loadu_si128(reinterpret_cast<const __m128i*>(p + 16 * i));
      const auto are = [&](__m128i found) {
        return static_cast<std::uint64_t>(static_cast<std::uint32_t>(_mm_movemask_epi8(found))) << 16 * i;
      };
      quotes |= are(_mm_cmpeq_epi8(v, _mm_set1_epi8('"')));
      slashes |= are(_mm_cmpeq_epi8(v, _mm_set1_epi8('\\')));
      const __m128i lower = _mm_or_si128(v, _mm_set1_epi8(0x20));  // [ and { are one bit apart, ] and } too
      brackets_ |=
          are(_mm_or_si128(_mm_cmpeq_epi8(lower, _mm_set1_epi8('{')), _mm_cmpeq_epi8(lower, _mm_set1_epi8('}'))));
      separators_ |= are(_mm_or_si128(_mm_cmpeq_epi8(v, _mm_set1_epi8(',')), _mm_cmpeq_epi8(v, _mm_set1_epi8(':'))));
    }
    if (slashes != 0 || escaped_) quotes &= ~escaped(slashes);
    std::uint64_t inside = quotes;  // parity of the quotes up to here
    for (unsigned i = 1; i < 64; i *= 2) inside ^= inside << i;
    inside ^= in_string_;
    in_string_ = (inside >> 63U) != 0 ? ~0ULL : 0;
    brackets_ &= ~inside;
    separators_ &= ~inside;
  }
  /// The characters behind a backslash that is not itself behind one.
  std::uint64_t escaped(std::uint64_t slashes) {
    std::uint64_t found = escaped_ ? 1 : 0;
    escaped_ = false;
    for (slashes &= ~found; slashes != 0;) {
      const std::uint64_t first = slashes & -slashes;
      slashes ^= first;
      if (first == 1ULL << 63U) escaped_ = true;
      found |= first << 1U;
      slashes &= ~(first << 1U);
    }
    return found;
  }

  std::string_view s_;
  std::size_t block_ = 0, next_block_ = 0;
  std::uint64_t brackets_ = 0, separators_ = 0, ahead_ = 0, in_string_ = 0;
  bool escaped_ = false;  // the first character of the next block
};

/// A JSON value on one line: line ends can only stand between its parts.
void append_on_one_line(std::string& out, std::string_view value) {
  const std::size_t from = out.size();
  out += value;
  for (const char c : {'\n', '\r'})
    for (std::size_t i = out.find(c, from); i != std::string::npos; i = out.find(c, i + 1)) out[i] = ' ';
}

struct Members {
  std::string_view time, host, source, sourcetype, index, fields, event;
};

std::string_view trimmed(std::string_view s) {
  while (!s.empty() && is_space(s.front())) s.remove_prefix(1);
  while (!s.empty() && is_space(s.back())) s.remove_suffix(1);
  return s;
}

/// The members of the object that begins at `at`, which moves behind it. A name that stands twice: the last counts, as it does in Splunk.
Members members_of(std::string_view body, Structure& structure, std::size_t& at) {
  Members m;
  std::size_t depth = 0, from = at, colon = 0;
  const auto member = [&](std::size_t end) {
    if (colon == 0) return;
    const std::string_view key = trimmed(body.substr(from, colon - from));
    const std::string_view value = trimmed(body.substr(colon + 1, end - colon - 1));
    colon = 0;
    if (key == "\"event\"") m.event = value;
    else if (key == "\"time\"") m.time = value;
    else if (key == "\"host\"") m.host = value;
    else if (key == "\"source\"") m.source = value;
    else if (key == "\"sourcetype\"") m.sourcetype = value;
    else if (key == "\"index\"") m.index = value;
    else if (key == "\"fields\"") m.fields = value;
  };
  for (;;) {
    const std::size_t i = structure.next(depth == 1);
    if (i == body.size()) {
      at = i;
      return m;
    }
    switch (body[i]) {
      case '{':
      case '[':
        if (++depth == 1) from = i + 1;
        break;
      case ':':
        if (colon == 0) colon = i;
        break;
      case ',':
        member(i);
        from = i + 1;
        break;
      default:
        if (--depth != 0) break;
        member(i);
        at = i + 1;
        return m;
    }
  }
}

class Meta {
 public:
  Meta(const Members& m, const HecMeta& otherwise) {
    const auto pick = [](std::string_view own, const std::string& other) {
      return own.empty() || own == "null" ? std::string_view(other) : own;
    };
    time_ = pick(m.time, otherwise.time);
    host_ = pick(m.host, otherwise.host);
    source_ = pick(m.source, otherwise.source);
    sourcetype_ = pick(m.sourcetype, otherwise.sourcetype);
    index_ = pick(m.index, otherwise.index);
    fields_ = pick(m.fields, otherwise.fields);
  }
  bool empty() const { return size() == 0; }
  std::size_t size() const {
    return time_.size() + host_.size() + source_.size() + sourcetype_.size() + index_.size() + fields_.size();
  }
  /// `"time":1,"host":"h"`; exported: as Splunk names them in what it exports.
  void append(std::string& out, bool exported) const {
    bool more = false;
    const auto member = [&](std::string_view name, std::string_view value) {
      if (value.empty()) return;
      if (more) out += ',';
      more = true;
      out.append(1, '"').append(name).append("\":");
      append_on_one_line(out, value);
    };
    member(exported ? "_time" : "time", time_);
    member("host", host_);
    member("source", source_);
    member("sourcetype", sourcetype_.empty() && exported ? std::string_view("\"httpevent\"") : sourcetype_);
    member("index", index_);
    member("fields", fields_);
  }

 private:
  std::string_view time_, host_, source_, sourcetype_, index_, fields_;
};

void append_event(std::string& out, std::string_view event, const Meta& meta) {
  if (event.front() == '{') {
    if (meta.empty()) return append_on_one_line(out, event);
    std::size_t end = event.size() - 1;
    while (end > 0 && is_space(event[end - 1])) --end;
    append_on_one_line(out, event.substr(0, end));
    out += end == 1 ? "\"splunk\":{" : ",\"splunk\":{";
    meta.append(out, false);
    out += "}}";
    return;
  }
  out += '{';
  meta.append(out, true);
  out += ",\"_raw\":";
  if (event.front() == '"') out += event;
  else append_json_string(out, event);  // a number, a list: as text, as Splunk keeps it
  out += '}';
}

}  // namespace

std::expected<HecLines, HecFault> read_hec_events(std::string_view body, const HecMeta& otherwise,
                                                  const HecLimits& limits) {
  HecLines out;
  out.lines.reserve(body.size() + 64);
  simdjson::dom::parser parser;
  Structure structure(body);
  std::size_t at = 0;
  std::int64_t n = 0;
  for (;; ++n) {
    while (at < body.size() && is_space(body[at])) ++at;
    if (at == body.size()) break;
    const auto bad = [&](int code) { return std::unexpected(HecFault{code, n}); };
    if (body[at] != '{' || out.lines.size() > limits.bytes) return bad(6);
    const std::size_t from = at;
    const Members m = members_of(body, structure, at);
    const std::string_view object = body.substr(from, at - from);
    // What stands behind the object in the body is padding enough, but for the last.
    const bool copied = body.size() - at < simdjson::SIMDJSON_PADDING;
    simdjson::dom::object checked;
    if (parser.parse(object.data(), object.size(), copied).get(checked) != simdjson::SUCCESS) return bad(6);
    if (m.event.empty()) return bad(12);
    if (m.event == "null") return bad(12);
    if (m.event == "\"\"") return bad(13);
    if (!m.fields.empty() && m.fields != "null" && m.fields.front() != '{') return bad(15);
    const Meta meta(m, otherwise);
    if (meta.size() > limits.meta_bytes) return bad(6);
    append_event(out.lines, m.event, meta);
    out.lines += '\n';
  }
  if (n == 0) return std::unexpected(HecFault{5, -1});
  out.events = static_cast<std::uint64_t>(n);
  return out;
}

std::expected<HecLines, HecFault> read_hec_raw(std::string_view body, const HecMeta& given, const HecLimits& limits) {
  HecLines out;
  const Meta meta({}, given);
  const bool plain = meta.empty();
  if (meta.size() > limits.meta_bytes) return std::unexpected(HecFault{6, -1});
  while (!body.empty()) {
    const std::size_t end = body.find('\n');
    std::string_view line = body.substr(0, end);
    body.remove_prefix(end == std::string_view::npos ? body.size() : end + 1);
    if (line.ends_with('\r')) line.remove_suffix(1);
    if (trim(line).empty()) continue;
    ++out.events;
    if (out.lines.size() > limits.bytes) return std::unexpected(HecFault{6, static_cast<std::int64_t>(out.events)});
    if (plain) {
      out.lines += line;
    } else {
      out.lines += '{';
      meta.append(out.lines, true);
      out.lines += ",\"_raw\":";
      append_json_string(out.lines, repair_utf8(line));
      out.lines += '}';
    }
    out.lines += '\n';
  }
  if (out.events == 0) return std::unexpected(HecFault{5, -1});
  return out;
}

}  // namespace bavn::live
