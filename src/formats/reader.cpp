#include "formats/reader.hpp"

#include <fmt/format.h>
#include <simdjson.h>
#define XXH_INLINE_ALL
#include <xxhash.h>

#if defined(__SSE2__)
#include <emmintrin.h>
#endif

#include <algorithm>
#include <array>
#include <bit>
#include <cstring>
#include <deque>

#include "base/result.hpp"
#include "base/text.hpp"
#include "formats/binder.hpp"
#include "formats/csv_rows.hpp"
#include "formats/json_shape.hpp"
#include "formats/line_tools.hpp"

namespace bavn::formats {

using event::EventBatch;
using event::Field;
using event::FormatId;
using event::Record;
using event::RouteId;
using event::Slot;
using event::ValueKind;

namespace {

constexpr std::size_t kMaxDepth = 64;
constexpr std::size_t kMaxNodes = 50'000;
constexpr std::size_t kMaxKey = 4096;
constexpr std::size_t kMaxTextLine = 1U << 20;  // what line_reader.hpp promises its readers
constexpr std::size_t kRun = 64U << 10;         // bytes of JSON lines indexed in one go

/// One path of the records seen so far. Format-agnostic; bindings are resolved per format on first use.
struct alignas(64) Node {
  // what the walk reads: one cache line
  char head[16] = {};  // the key when it is short, else its beginning
  std::uint32_t key_length = 0;
  std::uint16_t hot_format = 0xFFFF, hot_binding = 0;  // the binding of the format seen last
  Node* next_guess = nullptr;                          // the key that followed this one last time
  Node* other_guess = nullptr;                         // and the one before that
  Node* child_guess = nullptr;                         // the first key inside, last time
  const char* key = nullptr;
  bool quiet = false;  // no format wants its values
  bool marks = false;  // signature != 0
  bool signature_value = false;
  std::int8_t descend = -1;  // is anything below wanted? -1: not yet asked
  std::uint32_t id = 0;
  // the rest
  Node* parent = nullptr;
  std::uint64_t signature = 0;  // not 0: some format is recognised by it
  std::string path;
  std::vector<std::uint16_t> binding;  // by format; 0: not yet resolved, 1: nothing, else index + 2
};

struct Touch {
  Node* node;
  std::uint32_t offset, length;
  ValueKind kind;
};

// memcmp is a call; keys are short.
bool same_bytes(const char* a, const char* b, std::size_t n) {
  if (n >= 8) {
    std::size_t i = 0;
    std::uint64_t x, y;
    for (; i + 8 <= n; i += 8) {
      std::memcpy(&x, a + i, 8);
      std::memcpy(&y, b + i, 8);
      if (x != y) return false;
    }
    std::memcpy(&x, a + n - 8, 8);
    std::memcpy(&y, b + n - 8, 8);
    return x == y;
  }
  if (n >= 4) {
    std::uint32_t x, y, v, w;
    std::memcpy(&x, a, 4);
    std::memcpy(&y, b, 4);
    std::memcpy(&v, a + n - 4, 4);
    std::memcpy(&w, b + n - 4, 4);
    return x == y && v == w;
  }
  for (std::size_t i = 0; i < n; ++i)
    if (a[i] != b[i]) return false;
  return true;
}

bool same_key(const Node& n, const char* p, std::size_t length) {
  if (n.key_length != length) return false;
  if (length > 16) return same_bytes(n.key, p, length);
  return same_bytes(n.head, p, length);
}

std::uint64_t load_tail(const char* p, std::size_t n) {
  std::uint64_t v = 0;
  if (n >= 8) std::memcpy(&v, p + n - 8, 8);
  else std::memcpy(&v, p, n);
  return v;
}

std::uint64_t key_hash(std::uint32_t parent, const char* p, std::size_t n) {
  std::uint64_t head = 0;
  std::memcpy(&head, p, n < 8 ? n : 8);
  std::uint64_t h = (head ^ (n << 56) ^ parent) * 0x9E3779B97F4A7C15ULL;
  h ^= load_tail(p, n) * 0xC2B2AE3D27D4EB4FULL;
  if (n > 16) h ^= XXH3_64bits(p, n);
  return h ^ (h >> 29);
}

std::uint64_t value_hash(std::string_view s) {
  return XXH3_64bits(s.data(), s.size());
}

bool space(char c) {
  return c == ' ' || c == '\t' || c == '\r' || c == '\n';
}

// memchr is a call; most values are short.
bool has_escape(const char* p, std::size_t n) {
#if defined(__SSE2__)
  if (n >= 16 && n <= 256) {
    const __m128i slash = _mm_set1_epi8('\\');
    __m128i any = _mm_cmpeq_epi8(_mm_loadu_si128(reinterpret_cast<const __m128i*>(p + n - 16)), slash);
    for (std::size_t i = 0; i + 16 <= n; i += 16)
      any = _mm_or_si128(any, _mm_cmpeq_epi8(_mm_loadu_si128(reinterpret_cast<const __m128i*>(p + i)), slash));
    return _mm_movemask_epi8(any) != 0;
  }
#endif
  if (n > 16) return std::memchr(p, '\\', n) != nullptr;
  for (std::size_t i = 0; i < n; ++i)
    if (p[i] == '\\') return true;
  return false;
}

}  // namespace

/// The values of one record: a vector whose add() is inlined.
class Touches {
 public:
  void clear() { n_ = 0; }
  [[gnu::always_inline]] void add(const Touch& t) {
    if (n_ == v_.size()) [[unlikely]]
      v_.resize(std::max<std::size_t>(256, n_ * 2));
    v_[n_++] = t;
  }
  const Touch* begin() const { return v_.data(); }
  const Touch* end() const { return v_.data() + n_; }

 private:
  std::vector<Touch> v_;
  std::size_t n_ = 0;
};

class Reader::Impl {
 public:
  Impl(const Catalogue& catalogue, const event::FieldPlan& plan, event::RouteTable& routes, ReaderOptions options)
      : catalogue_(catalogue), plan_(plan), routes_(routes), options_(options), plan_prefixes_(dotted_prefixes(plan)) {
    for (const Description& d : catalogue_.all()) {
      binders_.emplace_back(d, plan_, plan_prefixes_, options_.learn);
      for (const auto& [name, paths] : d.fields) wanted_.insert(paths.begin(), paths.end());
      for (const auto& [name, role] : d.observables) wanted_.insert(name);
      wanted_.insert(d.time.begin(), d.time.end());
      wanted_.insert(d.unwrap.begin(), d.unwrap.end());
      wanted_.insert(d.text);
      for (const auto& l : d.logsource)
        for (const auto& [name, values] : l.when) wanted_.insert(name);
      for (const auto& p : d.pairs) {
        wanted_.insert(p.path + "." + p.name);
        wanted_.insert(p.path + "." + p.value);
      }
      for (const Recognition& r : d.recognise) {
        for (const auto& k : r.keys) signature_paths_[k] |= 1;
        for (const auto& [k, v] : r.values) signature_paths_[k] |= 3;
      }
    }
    for (const auto& [name, part] : {std::pair{"cs-host", &UrlParts::host},
                                     {"r-dns", &UrlParts::host},
                                     {"cs-uri-stem", &UrlParts::path},
                                     {"c-uri-stem", &UrlParts::path},
                                     {"c-uri-extension", &UrlParts::extension},
                                     {"cs-uri-extension", &UrlParts::extension}}) {
      if (options_.learn != nullptr) options_.learn->add(name);
      if (const auto slot = plan_.slot(name)) url_slots_.emplace_back(*slot, part);
    }
    names_.resize(catalogue_.all().size());
    text_readers_.resize(catalogue_.all().size());
    for (std::size_t i = 0; i < catalogue_.all().size(); ++i) {
      order_.push_back(static_cast<FormatId>(i));
      const auto& d = catalogue_.all()[i];
      if (d.reader == "json") continue;
      for (const TextReader& t : text_readers())
        if (d.reader == t.name) text_readers_[i] = t.make();
      if (d.reader == "text") plain_text_ = static_cast<FormatId>(i);
      if (options_.reference && text_readers_[i]) text_readers_[i]->set_reference(*options_.reference);
    }
    std::stable_sort(order_.begin(), order_.end(),
                     [&](FormatId a, FormatId b) { return catalogue_.at(a).priority > catalogue_.at(b).priority; });
    generic_json_ = catalogue_.find("json");
    reset_shapes();
  }

  std::uint64_t read(EventBatch& batch, std::size_t from, std::size_t to, std::uint64_t line) {
    batch_ = &batch;
    if (!batch.raw.is_lent()) {
      std::string& raw = batch.raw.own();
      if (raw.capacity() < raw.size() + JsonShapes::kPadding)
        raw.reserve(raw.size() + raw.size() / 8 + JsonShapes::kPadding);
    }
    slow_lines_ = options_.shapes ? 1 : kRun;
    const std::uint64_t first = line;
    std::size_t at = from;
    while (at < to) {
      const char* base = batch.raw.data();
      if (base[at] == '{' && json_allowed()) {
        if (known_line(at, to, line)) {
          ++line;
          slow_lines_ = 1;
          continue;
        }
        // A run of lines that begin with '{' is indexed in one go: one line, and more from time to time while none is of a known shape.
        std::size_t end = at;
        ends_.clear();
        while (end < to && base[end] == '{' && end - at < kRun && ends_.size() < slow_lines_) {
          const void* nl = std::memchr(base + end, '\n', to - end);
          const std::size_t next =
              nl == nullptr ? to : static_cast<std::size_t>(static_cast<const char*>(nl) - base) + 1;
          if (next - at > kRun && end > at) break;
          end = next;
          ends_.push_back(next);
        }
        slow_lines_ = options_.shapes ? std::min<std::size_t>(slow_lines_ * 2, 256) : kRun;
        line += json_run(at, end, line);
        at = end;
        continue;
      }
      const void* nl = std::memchr(base + at, '\n', to - at);
      const std::size_t end = nl == nullptr ? to : static_cast<std::size_t>(static_cast<const char*>(nl) - base);
      one_line(at, end, line++);
      at = end + 1;
    }
    return line - first;
  }

  void new_source(std::optional<FormatId> format, std::optional<Instant> reference) {
    if (format) set_format(format);
    sticky_ = event::FormatId(0xFFFF);
    csv_.reset();
    tables_ = true;
    for (auto& r : text_readers_)
      if (r) {
        r->reset();
        if (reference) r->set_reference(*reference);
      }
  }
  void no_table() { tables_ = false; }
  void set_format(std::optional<FormatId> f) {
    if (f == options_.format) return;
    options_.format = f;
    for (Latest& l : latest_) l.usable = false;  // how the format is known is another matter now
  }

  std::string context() const {
    if (csv_) return std::string(csv_->header());
    const FormatId f = options_.format ? *options_.format : sticky_;
    if (f < text_readers_.size() && text_readers_[f]) return std::string(text_readers_[f]->context());
    return {};
  }

  Stats stats_;

 private:
  bool json_allowed() const { return !options_.format || catalogue_.at(*options_.format).reader == "json"; }

  // ---- JSON ----------------------------------------------------------------------------------------------------------

  std::uint64_t json_run(std::size_t from, std::size_t to, std::uint64_t line) {
    begin_anew_when_full();
    const char* base = batch_->raw.data();
    const std::uint64_t first = line;
    const bool good = stage1(base + from, to - from);
    if (!good && to - from > 0) {
      const void* nl = std::memchr(base + from, '\n', to - from);
      const bool single = nl == nullptr || static_cast<const char*>(nl) + 1 == base + to;
      if (!single) ++stats_.reindexed_runs;
    }
    if (!good) {
      std::size_t at = from;
      while (at < to) {
        base = batch_->raw.data();
        const void* nl = std::memchr(base + at, '\n', to - at);
        const std::size_t end = nl == nullptr ? to : static_cast<std::size_t>(static_cast<const char*>(nl) - base);
        one_line(at, end, line++);
        at = end + 1;
      }
      return line - first;
    }
    const std::uint32_t* s = index().structural_indexes.get();
    const std::uint32_t* const s_end = s + index().n_structural_indexes;
    cuts_.clear();
    for (const std::size_t next : ends_) {
      cuts_.push_back(s);
      s = skip_to(s, s_end, static_cast<std::uint32_t>(next - from));
    }
    cuts_.push_back(s);
    std::size_t at = from;
    for (std::size_t i = 0; i < ends_.size(); ++i) {
      const std::size_t next = ends_[i];
      std::size_t end = next;
      while (end > at && space(base[end - 1])) --end;
      json_record(base + from, cuts_[i], cuts_[i + 1], at, end, line++, 0, static_cast<std::uint32_t>(from));
      at = next;
    }
    return line - first;
  }

  // First structural at or after `limit`: galloping, since lines are of like length.
  static const std::uint32_t* skip_to(const std::uint32_t* s, const std::uint32_t* end, std::uint32_t limit) {
    constexpr std::size_t kStep = 64;
    while (static_cast<std::size_t>(end - s) > kStep && s[kStep] < limit) s += kStep;
    std::size_t n = std::min<std::size_t>(static_cast<std::size_t>(end - s), kStep + 1);
    while (n > 1) {  // without branches: where a line ends is not to be guessed
      const std::size_t half = n / 2;
      s = s[half - 1] < limit ? s + half : s;
      n -= half;
    }
    return s + (n == 1 && *s < limit ? 1 : 0);
  }

  simdjson::internal::dom_parser_implementation& index() { return *indexes_[unwrap_depth_]; }

  bool stage1(const char* p, std::size_t n) {
    auto& index = indexes_[unwrap_depth_];
    if (!index || n > index->capacity()) {
      if (n > options_.max_record * 2 + 4096) return false;
      const std::size_t capacity = std::max(n + 4096, kRun + 4096);
      const auto err =
          simdjson::get_active_implementation()->create_dom_parser_implementation(capacity, kMaxDepth, index);
      BAVN_ASSERT(err == simdjson::SUCCESS);
    }
    index->n_structural_indexes = 0;
    last_error_ = index->stage1(reinterpret_cast<const std::uint8_t*>(p), n, simdjson::stage1_mode::regular);
    return last_error_ == simdjson::SUCCESS;
  }

  /// buf: where the structural indexes count from; [s, s_end): this record's; [at, end): the record in batch.raw.
  /// field_base: what turns a position in buf into a field offset (with `flags` kDerived: in batch.derived).
  void json_record(const char* buf, const std::uint32_t* s, const std::uint32_t* s_end, std::size_t at, std::size_t end,
                   std::uint64_t line, std::uint8_t flags, std::uint32_t field_base) {
    touches_.clear();
    signature_ = 0;
    if (const char* reason = walk(buf, s, s_end)) {
      refuse(line, reason, std::string_view(batch_->raw).substr(at, std::min<std::size_t>(end - at, 80)));
      return;
    }
    if (options_.shapes && shapes_.worth()) learn(buf, s, static_cast<std::size_t>(s_end - s));
    read_touches(buf, at, end, line, flags, field_base, options_.format ? *options_.format : recognise(buf));
  }

  /// What touches_ holds becomes a record.
  void read_touches(const char* buf, std::size_t at, std::size_t end, std::uint64_t line, std::uint8_t flags,
                    std::uint32_t field_base, FormatId format) {
    const Description& d = catalogue_.at(format);
    Record r;
    r.offset = static_cast<std::uint32_t>(at);
    r.length = static_cast<std::uint32_t>(end - at);
    r.line = line;
    r.format = format;
    r.first_field = static_cast<std::uint32_t>(batch_->fields.size());
    r.repaired = repairing_;
    times_.clear();
    std::uint64_t route_key = route_start(format);
    std::string_view pair_name;
    const Touch* pending_value = nullptr;
    for (const Touch& t : touches_) {
      const std::uint16_t bi = binding_index(t.node, format);
      if (bi == 1) continue;
      const char* p = buf + t.offset;
      if (t.kind == ValueKind::nested) continue;
      const Plain& plain = plain_[bi - 2U];
      if (plain.enough) [[likely]] {
        // Most values only go to one or two slots.
        if (plain.route) route_key = next_route_key(route_key, {p, t.length}, t.node->id);
        Field f{
            field_base + t.offset, t.length, plain.first,
            static_cast<std::uint8_t>(flags | static_cast<std::uint8_t>(t.kind) |
                                      (t.kind == ValueKind::string && has_escape(p, t.length) ? Field::kEscaped : 0)),
            plain.role};
        batch_->fields.push_back(f);
        if (plain.second != event::kNoSlot) {
          f.slot = plain.second;
          f.role = event::Role::none;
          batch_->fields.push_back(f);
        }
        continue;
      }
      const Binding& b = bindings_[bi - 2U];
      if (b.unwrap && t.kind == ValueKind::string && unwrap_depth_ < 3 && t.length > 2) {
        // The inner record's fields lie behind what the outer one gave so far; nothing points to the latter.
        if (try_unwrap({p, t.length}, at, end, line)) return;
      }
      if (b.time_rank >= 0 && t.kind != ValueKind::null) times_.push_back({b.time_rank, t.offset, t.length, t.kind});
      if (b.route) route_key = next_route_key(route_key, {p, t.length}, t.node->id);
      const auto value_flags = static_cast<std::uint8_t>(
          flags | static_cast<std::uint8_t>(t.kind) |
          (t.kind == ValueKind::string && (!b.slots.empty() || b.role != event::Role::none) && has_escape(p, t.length)
               ? Field::kEscaped
               : 0));
      emit(b, field_base + t.offset, t.length, value_flags);
      if (b.url && t.kind == ValueKind::string) url_fields({p, t.length}, field_base + t.offset, flags);
      if (b.pair == PairPart::name) {
        pair_name = {p, t.length};
        if (pending_value != nullptr && pending_value->node->parent == t.node->parent) {
          route_key = pair(*pending_value, pair_name, buf, format, field_base, flags, route_key);
          pending_value = nullptr;
          pair_name = {};
        }
      } else if (b.pair == PairPart::value) {
        if (!pair_name.empty()) {
          route_key = pair(t, pair_name, buf, format, field_base, flags, route_key);
          pair_name = {};
        } else {
          pending_value = &t;
        }
      }
    }
    r.happened_us = happened(buf);
    if (!d.text.empty() && unwrap_depth_ < 3) {
      if (const auto inner = text_member(r, buf, format)) {
        finish(r, (std::rotl(route_key, 32) ^ *inner) * kMix, catalogue_.at(r.format));
        return;
      }
    }
    finish(r, route_key, d);
  }

  // ---- known shapes --------------------------------------------------------------------------------------------------

  /// What is to be done with the values of a shape in one format.
  struct Uses {
    FormatId format;
    bool simple;  // the rest says it all: no unwrapping, no pairs, no text inside
    struct Put {
      std::uint32_t value;  // of those the shape keeps
      Slot slot;
      event::Role role;
    };
    std::vector<Put> puts;                                        // one for each field
    std::vector<std::pair<std::uint32_t, std::uint32_t>> routes;  // value, node
    std::vector<std::pair<std::int8_t, std::uint32_t>> times;     // rank, value: in the order in which they are asked
  };
  struct KnownShape {
    std::vector<Node*> values;    // those that some format wants
    std::uint64_t signature = 0;  // of its keys
    std::vector<std::uint32_t> signature_values;
    std::vector<Uses> uses;  // by format, those seen
  };

  /// Records of a shape mostly agree in the values that decide what they are, too: then nothing is hashed or asked for. One piece of
  /// memory a shape, with all that is needed but the puts.
  struct alignas(64) Latest {
    static constexpr std::size_t kMost = 6, kBytes = 112;
    std::uint32_t puts = 0, n_puts = 0;  // in latest_puts_
    std::uint32_t time = 0;              // the value asked first
    FormatId format = 0;
    RouteId route = event::kNoRoute;
    std::uint8_t n = 0;  // values that decide
    std::uint8_t missed = 0;
    bool usable = false;
    std::uint32_t values[kMost], lengths[kMost];
    char bytes[kBytes];  // of those values, one after the other
  };

  /// The line that begins at `at`, when it is of a known shape: read, and `at` is where the next one begins.
  bool known_line(std::size_t& at, std::size_t to, std::uint64_t line) {
    if (!options_.shapes) return false;
    const char* const base = batch_->raw.data();
    const auto f = shapes_.find(base, static_cast<std::uint32_t>(at), static_cast<std::uint32_t>(to));
    if (f.shape == JsonShapes::kNone || f.end - at > kRun || !known_record(f.shape, base, at, f.end, line, 0, 0))
      return false;
    at = f.next;
    return true;
  }

  /// The same as walk() and what follows it, for the record that shapes_ found. false: nothing was done.
  bool known_record(std::uint32_t shape, const char* buf, std::size_t at, std::size_t end, std::uint64_t line,
                    std::uint8_t flags, std::uint32_t field_base) {
    const JsonShapes::Value* const values = shapes_.values();
    if (like_latest(latest_[shape], values, buf, at, end, line, flags, field_base)) return true;
    KnownShape& k = known_[shape];
    FormatId format;
    if (options_.format) {
      format = *options_.format;
    } else {
      std::uint64_t signature = k.signature;
      for (const std::uint32_t v : k.signature_values)
        signature += signature_part(*k.values[v], {buf + values[v].start, values[v].length});
      const auto found = recognised(signature);
      if (!found) return false;
      format = *found;
    }
    const Uses* uses = nullptr;
    for (const Uses& u : k.uses)
      if (u.format == format) uses = &u;
    if (uses == nullptr) uses = &add_uses(k, format);
    ++stats_.known_shapes;
    if (!uses->simple) {
      touches_.clear();
      for (std::size_t i = 0; i < k.values.size(); ++i)
        touches_.add({k.values[i], values[i].start, values[i].length, values[i].kind()});
      read_touches(buf, at, end, line, flags, field_base, format);
      return true;
    }
    Record r;
    r.offset = static_cast<std::uint32_t>(at);
    r.length = static_cast<std::uint32_t>(end - at);
    r.line = line;
    r.format = format;
    r.first_field = static_cast<std::uint32_t>(batch_->fields.size());
    r.repaired = repairing_;
    std::uint64_t route_key = route_start(format);
    for (const auto& [value, node] : uses->routes)
      route_key = next_route_key(route_key, {buf + values[value].start, values[value].length}, node);
    auto& fields = batch_->fields;
    fields.resize(r.first_field + uses->puts.size());
    Field* to = fields.data() + r.first_field;
    for (const Uses::Put& put : uses->puts) {
      const JsonShapes::Value& v = values[put.value];
      *to++ = {field_base + v.start, v.length, put.slot, static_cast<std::uint8_t>(flags | v.flags), put.role};
    }
    for (const auto& [rank, value] : uses->times) {
      const JsonShapes::Value& v = values[value];
      if (v.kind() == ValueKind::null) continue;
      if (const auto when = time_of({buf + v.start, v.length}, v.kind())) {
        r.happened_us = micros(*when);
        break;
      }
    }
    finish(r, route_key, catalogue_.at(format));
    keep_latest(shape, *uses, values, buf, batch_->records.back().route);
    return true;
  }

  bool like_latest(const Latest& l, const JsonShapes::Value* values, const char* buf, std::size_t at, std::size_t end,
                   std::uint64_t line, std::uint8_t flags, std::uint32_t field_base) {
    if (!l.usable) return false;
    const char* bytes = l.bytes;
    for (std::size_t i = 0; i < l.n; ++i) {
      const JsonShapes::Value& v = values[l.values[i]];
      if (v.length != l.lengths[i] || !same_bytes(buf + v.start, bytes, v.length)) return false;
      bytes += v.length;
    }
    const JsonShapes::Value& time = values[l.time];
    const auto when = time_of({buf + time.start, time.length}, time.kind());
    if (!when) return false;  // perhaps another value says it
    ++stats_.known_shapes;
    auto& fields = batch_->fields;
    const std::size_t first = fields.size();
    fields.resize(first + l.n_puts);
    Field* to = fields.data() + first;
    const Uses::Put* const puts = latest_puts_.data() + l.puts;
    for (std::size_t i = 0; i < l.n_puts; ++i) {
      const JsonShapes::Value& v = values[puts[i].value];
      to[i] = {field_base + v.start, v.length, puts[i].slot, static_cast<std::uint8_t>(flags | v.flags), puts[i].role};
    }
    Record& r = batch_->records.emplace_back();
    r.offset = static_cast<std::uint32_t>(at);
    r.length = static_cast<std::uint32_t>(end - at);
    r.first_field = static_cast<std::uint32_t>(first);
    r.field_count = l.n_puts;
    r.happened_us = micros(*when);
    r.line = line;
    r.format = l.format;
    r.route = l.route;
    r.repaired = repairing_;
    return true;
  }

  void keep_latest(std::uint32_t shape, const Uses& uses, const JsonShapes::Value* values, const char* buf,
                   RouteId route) {
    Latest& l = latest_[shape];
    if (l.missed++ % 8 != 0) return;  // where they change from record to record, what is kept stays a while
    const RouteExtras& extras = extras_of(route);
    if (route == event::kNoRoute || uses.times.empty() || !extras.aliases.empty() || !extras.adds.empty()) return;
    const bool new_format = l.n_puts == 0 || l.format != uses.format;
    if (new_format && latest_puts_.size() > kMostPuts) return;
    l.usable = false;
    l.n = 0;
    std::size_t used = 0;
    const auto decides = [&](std::uint32_t value) {
      if (std::find(l.values, l.values + l.n, value) != l.values + l.n) return true;
      const JsonShapes::Value& v = values[value];
      if (l.n == Latest::kMost || v.length > Latest::kBytes - used) return false;
      std::memcpy(l.bytes + used, buf + v.start, v.length);
      used += v.length;
      l.values[l.n] = value;
      l.lengths[l.n++] = v.length;
      return true;
    };
    for (const std::uint32_t v : known_[shape].signature_values)
      if (!decides(v)) return;
    for (const auto& [v, node] : uses.routes)
      if (!decides(v)) return;
    if (new_format) {
      l.puts = static_cast<std::uint32_t>(latest_puts_.size());
      l.n_puts = static_cast<std::uint32_t>(uses.puts.size());
      latest_puts_.insert(latest_puts_.end(), uses.puts.begin(), uses.puts.end());
    }
    l.time = uses.times[0].second;
    l.format = uses.format;
    l.route = route;
    l.usable = true;
  }

  static void value_at(const char* buf, const std::uint32_t* s, std::uint32_t structural, std::uint32_t& start,
                       std::uint32_t& length) {
    start = s[structural];
    std::uint32_t stop = s[structural + 1];
    if (buf[start] == '"') {
      do --stop;
      while (buf[stop] != '"');
      length = stop - ++start;
      return;
    }
    while (space(buf[stop - 1])) --stop;
    length = stop - start;
  }

  const Uses& add_uses(KnownShape& k, FormatId format) {
    Uses u{format, catalogue_.at(format).text.empty(), {}, {}, {}};
    for (std::uint32_t i = 0; i < k.values.size(); ++i) {
      const std::uint16_t bi = binding_index(k.values[i], format);
      if (bi == 1) continue;
      const Binding& b = bindings_[bi - 2U];
      if (b.unwrap || b.text || b.url || b.pair != PairPart::none) u.simple = false;
      if (b.time_rank >= 0) u.times.emplace_back(b.time_rank, i);
      if (b.route) u.routes.emplace_back(i, k.values[i]->id);
      if (b.slots.empty() && b.role != event::Role::none) u.puts.push_back({i, event::kNoSlot, b.role});
      for (const Slot slot : b.slots) u.puts.push_back({i, slot, slot == b.slots[0] ? b.role : event::Role::none});
    }
    std::stable_sort(u.times.begin(), u.times.end(), [](const auto& x, const auto& y) { return x.first < y.first; });
    if (!u.simple) u = {format, false, {}, {}, {}};
    k.uses.push_back(std::move(u));
    return k.uses.back();
  }

  /// Keeps the shape of a record that walk() took.
  void learn(const char* buf, const std::uint32_t* s, std::size_t n) {
    if (shapes_.full()) {
      clear_known();
    }
    KnownShape k;
    places_.clear();
    struct Level {
      Node* container;  // null: nobody wants what is inside
      bool array;
    };
    Level stack[kMaxDepth];
    std::size_t depth = 0;
    Node* node = &root_;
    const auto mark = [&](Node* x) {
      if (x != nullptr && x->marks && !x->quiet) k.signature += x->signature;
    };
    bool key = false;  // a key comes next
    for (std::uint32_t i = 0; i < n; ++i) {
      switch (const char c = buf[s[i]]; c) {
        case '{':
        case '[':
          if (depth == kMaxDepth) return;
          if (depth > 0) mark(node);
          if (c == '{' && depth > 0 && node != nullptr && !descends(*node)) node = nullptr;
          stack[depth++] = {node, c == '['};
          key = c == '{';
          break;
        case '}':
        case ']':
          if (depth == 0 || stack[depth - 1].array != (c == ']')) return;
          node = stack[--depth].container;
          key = false;
          break;
        case ',':
          if (depth == 0) return;
          key = !stack[depth - 1].array;
          if (!key) node = stack[depth - 1].container;
          break;
        case ':': break;
        case '"':
          if (key) {
            if (i + 1 == n || buf[s[i + 1]] != ':' || depth == 0) return;
            std::uint32_t start, length;
            value_at(buf, s, i, start, length);
            Node* const container = stack[depth - 1].container;
            node = container == nullptr ? nullptr : child(container, buf + start, length);
            if (node == nullptr && container != nullptr) return;
            key = false;
            break;
          }
          [[fallthrough]];
        default: {
          if (depth == 0 || key || i + 1 == n) return;
          std::uint32_t start, length;
          value_at(buf, s, i, start, length);
          const std::uint32_t quote = c == '"' ? 1 : 0;
          const bool kept = node != nullptr && !node->quiet;
          places_.push_back({start - quote, start + length + quote, kept});
          if (kept) {
            mark(node);
            if (node->signature_value) k.signature_values.push_back(static_cast<std::uint32_t>(k.values.size()));
            k.values.push_back(node);
          }
        }
      }
    }
    if (depth != 0 || n == 0) return;
    const std::uint32_t shape = shapes_.add(buf, s[0], s[n - 1] + 1, places_);
    if (shape != known_.size()) return;
    known_.push_back(std::move(k));
    latest_.emplace_back();
  }

  /// Sigma's proxy and webserver rules ask for parts of a URL that most logs write as one.
  void url_fields(std::string_view url, std::uint32_t offset, std::uint8_t flags) {
    if (url_slots_.empty()) return;
    std::string plain;
    if (has_escape(url.data(), url.size())) {
      event::append_unescaped(plain, url);
      offset = static_cast<std::uint32_t>(batch_->derived.size());
      batch_->derived += plain;
      url = plain;
      flags = Field::kDerived;
    }
    const UrlParts parts = url_parts(url);
    for (const auto& [slot, part] : url_slots_)
      if (const std::string_view v = parts.*part; !v.empty())
        batch_->fields.push_back({offset + static_cast<std::uint32_t>(v.data() - url.data()),
                                  static_cast<std::uint32_t>(v.size()), slot, flags});
  }

  /// A log line inside a JSON record (journald's MESSAGE, a shipper's message): the text readers try it. What they find joins the
  /// record's own fields, and the record is of their format then. The record's own time is kept: it has a year and a zone.
  std::optional<std::uint64_t> text_member(Record& r, const char* buf, FormatId outer) {
    std::string lines[2], program, host, pid;
    for (const Touch& t : touches_) {
      if (t.kind == ValueKind::nested || t.kind == ValueKind::null) continue;
      const std::uint16_t bi = binding_index(t.node, outer);
      if (bi == 1) continue;
      const Binding& b = bindings_[bi - 2U];
      if (b.text && t.kind == ValueKind::string && t.length > 7) {
        std::string& to = lines[lines[0].empty() ? 0 : 1];
        if (to.empty()) event::append_unescaped(to, {buf + t.offset, t.length});
      }
      if (t.length > 255) continue;
      for (const auto& [what, to] :
           {std::pair{Binding::kProgram, &program}, {Binding::kHost, &host}, {Binding::kPid, &pid}})
        if ((b.beside & what) != 0 && to->empty()) to->assign(buf + t.offset, t.length);
    }
    const auto nil = [](std::string& part) {
      std::erase_if(part, [](char c) { return c <= ' ' || c == '"' || c == '\\'; });
      return part.empty() ? std::string_view("-") : std::string_view(part);
    };
    for (std::string& line : lines) {
      if (line.empty() || line[0] == '{') continue;
      // XML is no line of a text log, though it may look like a syslog priority; a reader that is sure of it may have it (Sysmon for Linux).
      if (line.size() > 1 && line[0] == '<' && !(line[1] >= '0' && line[1] <= '9')) {
        if (auto key = inner_line(r, line, 95)) return key;
        continue;
      }
      while (!line.empty() && (line.back() == '\n' || line.back() == '\r')) line.pop_back();
      std::replace(line.begin(), line.end(), '\n', ' ');
      if (!program.empty()) {
        // Who wrote the line stands beside it: as syslog, the line finds its reader.
        const std::string syslog =
            fmt::format("<14>1 {} {} {} {} - - {}", r.happened_us == 0 ? "-" : format_time(from_micros(r.happened_us)),
                        nil(host), nil(program), nil(pid), line);
        if (auto key = inner_line(r, syslog)) return key;
      }
      if (auto key = inner_line(r, line)) return key;
    }
    return std::nullopt;
  }

  std::optional<std::uint64_t> inner_line(Record& r, const std::string& text, int least = 50) {
    std::vector<std::pair<int, FormatId>> ranked;
    // Who is sure of a line is so alone (line_reader.hpp), and mostly it is who was sure of the last one.
    if (sure_ != 0xFFFF && text_readers_[sure_]->likelihood(text) == 100) ranked.emplace_back(100, sure_);
    for (FormatId f : order_)
      if (text_readers_[f] && (ranked.empty() || ranked.back().first != 100))
        if (const int n = text_readers_[f]->likelihood(text); n >= least) {
          if (n == 100) {
            sure_ = f;
            ranked.clear();
          }
          ranked.emplace_back(n, f);
        }
    std::stable_sort(ranked.begin(), ranked.end(), [](const auto& x, const auto& y) { return x.first > y.first; });
    const std::size_t fields = batch_->fields.size(), derived = batch_->derived.size();
    for (std::size_t i = 0; i < ranked.size() && i < 3; ++i) {
      const FormatId f = ranked[i].second;
      batch_->derived += text;
      Sink sink(*this, f, text, static_cast<std::uint32_t>(derived), Field::kDerived);
      std::string reason;
      // A syslog header around text that nobody knows says nothing that the JSON record does not say itself.
      if (text_readers_[f]->read(text, sink, reason) == LineVerdict::event &&
          catalogue_.at(sink.format_now()).name != "syslog") {
        r.format = sink.format_now();
        if (r.happened_us == 0) r.happened_us = sink.happened_us();
        return sink.route_key();
      }
      batch_->fields.resize(fields);
      batch_->derived.resize(derived);
    }
    return std::nullopt;
  }

  void emit(const Binding& b, std::uint32_t offset, std::uint32_t length, std::uint8_t flags) {
    if (b.slots.empty()) {
      if (b.role != event::Role::none) batch_->fields.push_back({offset, length, event::kNoSlot, flags, b.role});
      return;
    }
    event::Role role = b.role;
    for (Slot slot : b.slots) {
      batch_->fields.push_back({offset, length, slot, flags, role});
      role = event::Role::none;
    }
  }

  std::uint64_t pair(const Touch& value, std::string_view name, const char* buf, FormatId format,
                     std::uint32_t field_base, std::uint8_t flags, std::uint64_t route_key) {
    const PairArray* p = binders_[format].pair_at(value.node->path);
    if (p == nullptr || name.size() > kMaxKey || name.empty()) return route_key;
    const auto extra = static_cast<std::uint8_t>(
        flags | static_cast<std::uint8_t>(value.kind) |
        (value.kind == ValueKind::string && has_escape(buf + value.offset, value.length) ? Field::kEscaped : 0));
    Node* n = child(value.node->parent, name.data(), name.size());
    if (n == nullptr) return route_key;
    const std::uint16_t bi = binding_index(n, format);
    if (bi != 1) {
      const Binding& b = bindings_[bi - 2U];
      emit(b, field_base + value.offset, value.length, extra);
      if (b.route) route_key = next_route_key(route_key, {buf + value.offset, value.length}, n->id);
    }
    if (p->short_names) {
      Node* top = child(&root_, name.data(), name.size());
      if (top != nullptr) {
        const std::uint16_t ti = binding_index(top, format);
        if (ti != 1) emit(bindings_[ti - 2U], field_base + value.offset, value.length, extra);
      }
    }
    return route_key;
  }

  // Keys of the route cache begin here (those of text with the bits turned) and must not meet each other: a JSON record around a line
  // of text has a key made of both.
  static constexpr std::uint64_t kMix = 0x9E3779B97F4A7C15ULL;
  static std::uint64_t route_start(FormatId format) { return (format + 1ULL) * kMix; }
  static std::uint64_t next_route_key(std::uint64_t key, std::string_view value, std::uint32_t node) {
    return (key ^ value_hash(value) ^ node) * kMix;
  }

  void finish(Record& r, std::uint64_t route_key, const Description& d) {
    RouteId route;
    RecentRoute& recent = recent_routes_[(route_key >> 20) & (kRecent - 1)];
    if (recent.key == route_key && recent.route != event::kNoRoute) {
      route = recent.route;
    } else if (auto it = route_cache_.find(route_key); it != route_cache_.end()) {
      route = it->second;
      recent = {route_key, route};
    } else {
      r.field_count = static_cast<std::uint32_t>(batch_->fields.size()) - r.first_field;
      route = resolve_route(r, d);
      if (route_cache_.size() > 60'000) route_cache_.clear();
      route_cache_.emplace(route_key, route);
    }
    r.route = route;
    const RouteExtras& extras = extras_of(route);
    if (!extras.aliases.empty()) {
      const std::size_t n = batch_->fields.size();
      for (std::size_t i = r.first_field; i < n; ++i)
        for (const auto& [to, from] : extras.aliases)
          if (batch_->fields[i].slot == from) {
            Field f = batch_->fields[i];
            f.slot = to;
            f.role = event::Role::none;
            batch_->fields.push_back(f);
          }
    }
    for (const auto& [slot, value] : extras.adds) {
      Field f;
      f.offset = static_cast<std::uint32_t>(batch_->derived.size());
      f.length = static_cast<std::uint32_t>(value.size());
      f.slot = slot;
      f.flags = Field::kDerived;
      batch_->derived += value;
      batch_->fields.push_back(f);
    }
    r.field_count = static_cast<std::uint32_t>(batch_->fields.size()) - r.first_field;
    batch_->records.push_back(r);
  }

  /// The first of the record's times, in the order of the description, that can be read; 0 when there is none.
  std::int64_t happened(const char* buf) {
    while (!times_.empty()) {
      const auto best = std::min_element(times_.begin(), times_.end(),
                                         [](const TimeValue& a, const TimeValue& b) { return a.rank < b.rank; });
      if (const auto when = time_of({buf + best->offset, best->length}, best->kind)) return micros(*when);
      times_.erase(best);
    }
    return 0;
  }

  std::optional<Instant> time_of(std::string_view v, ValueKind kind) {
    if (kind == ValueKind::number) return parse_epoch(v);
    if (kind != ValueKind::string) return std::nullopt;
    if (auto t = parse_time(v)) return t;
    if (v.size() > 8 && v.starts_with("/Date(")) return parse_epoch(v.substr(6, v.find(')') - 6));
    if (v.starts_with("\\/Date(")) return parse_epoch(v.substr(7, v.find(')') - 7));
    return parse_epoch(v);
  }

  /// Fills touches_ and signature_. Returns the reason when the record is no valid JSON object.
  const char* walk(const char* buf, const std::uint32_t* s, const std::uint32_t* const end) {
    if (s == end || buf[*s] != '{') return "json_not_an_object";
    struct Level {
      Node* container;
      bool array;
    };
    Level stack[kMaxDepth];
    std::size_t depth = 0;
    Node* container = &root_;
    Node* prev = nullptr;
    Node* node = nullptr;
    bool in_array = false;

  object:
    ++s;
    prev = nullptr;
    if (s == end) return "json_unfinished";
    if (buf[*s] == '}') goto close;
  key: {
    if (buf[*s] != '"') return "json_key_missing";
    const std::uint32_t start = *s + 1;
    if (++s == end) return "json_unfinished";
    if (buf[*s] != ':') return "json_colon_missing";
    std::uint32_t stop = *s - 1;
    while (buf[stop] != '"') {
      if (!space(buf[stop]) || stop <= start) return "json_key_malformed";
      --stop;
    }
    const std::uint32_t n = stop - start;
    Node* guess = prev == nullptr ? container->child_guess : prev->next_guess;
    if (guess != nullptr && same_key(*guess, buf + start, n)) {
      node = guess;
    } else if (prev != nullptr && prev->other_guess != nullptr && same_key(*prev->other_guess, buf + start, n)) {
      node = prev->other_guess;
      std::swap(prev->next_guess, prev->other_guess);
    } else {
      node = child(container, buf + start, n);
      if (node == nullptr) return "json_key_too_long";
      if (prev == nullptr) {
        container->child_guess = node;
      } else {
        prev->other_guess = prev->next_guess;
        prev->next_guess = node;
      }
    }
    prev = node;
    if (++s == end) return "json_unfinished";
  }
  value: {
    const char c = buf[*s];
    if (c == '"') {
      const std::uint32_t start = *s + 1;
      if (++s == end) return "json_unfinished";
      std::uint32_t stop = *s - 1;
      while (buf[stop] != '"') {
        if (!space(buf[stop]) || stop <= start) return "json_string_malformed";
        --stop;
      }
      if (stop < start) return "json_string_malformed";
      touch(node, buf, start, stop - start, ValueKind::string);
    } else if (c == '{') {
      if (node->marks) touch(node, buf, *s, 1, ValueKind::nested);
      if (!descends(*node)) {
        if (const char* reason = skip(buf, s, end, depth)) return reason;
      } else {
        if (depth + 1 >= kMaxDepth) return "json_too_deep";
        stack[depth++] = {container, in_array};
        container = node;
        in_array = false;
        goto object;
      }
    } else if (c == '[') {
      if (node->marks) touch(node, buf, *s, 1, ValueKind::nested);
      if (depth + 1 >= kMaxDepth) return "json_too_deep";
      stack[depth++] = {container, in_array};
      container = node;
      in_array = true;
      if (++s == end) return "json_unfinished";
      if (buf[*s] == ']') goto close;
      goto value;
    } else {
      const std::uint32_t start = *s;
      if (++s == end) return "json_unfinished";
      std::uint32_t stop = *s;
      while (stop > start && space(buf[stop - 1])) --stop;
      const char* reason = scalar(node, buf, start, stop - start);
      if (reason != nullptr) return reason;
    }
  }
  after:
    switch (buf[*s]) {
      case ',':
        if (++s == end) return "json_unfinished";
        if (in_array) goto value;
        goto key;
      case '}':
        if (in_array) return "json_brackets_mismatched";
        goto close;
      case ']':
        if (!in_array) return "json_brackets_mismatched";
        goto close;
      default: return "json_comma_missing";
    }
  close:
    ++s;
    if (depth == 0) return s == end ? nullptr : "json_text_after_the_object";
    if (s == end) return "json_unfinished";
    // the container of the array or object that ended is the key that comes before the next one
    prev = container;
    node = container;
    --depth;
    container = stack[depth].container;
    in_array = stack[depth].array;
    goto after;
  }

  static std::uint64_t signature_part(const Node& node, std::string_view value) {
    return value_hash(value) * (node.id | 1U);
  }

  [[gnu::always_inline]] void touch(Node* node, const char* buf, std::uint32_t offset, std::uint32_t length,
                                    ValueKind kind) {
    if (node->quiet) return;
    touches_.add({node, offset, length, kind});
    if (node->marks) [[unlikely]] {
      signature_ += node->signature;
      if (node->signature_value && kind != ValueKind::nested)
        signature_ += signature_part(*node, {buf + offset, length});
    }
  }

  const char* scalar(Node* node, const char* buf, std::uint32_t start, std::uint32_t n) {
    ValueKind kind;
    if (const char* fault = scalar_fault(buf + start, n, kind)) return fault;
    touch(node, buf, start, n, kind);
    return nullptr;
  }

  // Steps over a nested value nobody wants; brackets must pair.
  static const char* skip(const char* buf, const std::uint32_t*& s, const std::uint32_t* end, std::size_t depth) {
    std::uint64_t kinds = 0;
    std::size_t d = 0;
    for (; s != end; ++s) {
      const char c = buf[*s];
      if (c == '{' || c == '[') {
        if (depth + d + 1 >= kMaxDepth) return "json_too_deep";
        kinds = kinds << 1 | (c == '[' ? 1U : 0U);
        ++d;
      } else if (c == '}' || c == ']') {
        if ((kinds & 1U) != (c == ']' ? 1U : 0U)) return "json_brackets_mismatched";
        kinds >>= 1;
        if (--d == 0) {
          ++s;
          return s == end ? "json_unfinished" : nullptr;
        }
      }
    }
    return "json_unfinished";
  }

  // ---- shapes --------------------------------------------------------------------------------------------------------

  void clear_known() {
    shapes_.clear();
    known_.clear();
    latest_.clear();
    latest_puts_.clear();
  }

  void reset_shapes() {
    clear_known();
    nodes_.clear();
    keys_.clear();
    table_.assign(4096, nullptr);
    root_ = Node{};
    root_.descend = 1;
    root_.id = 0;
    formats_by_signature_.clear();
    route_cache_.clear();
    std::fill(recent_routes_.begin(), recent_routes_.end(), RecentRoute{});
    std::fill(recent_formats_.begin(), recent_formats_.end(), RecentFormat{});
  }

  void begin_anew_when_full() {
    if (!full_) return;
    reset_shapes();
    full_ = false;
    ++stats_.shape_resets;
  }

  Node* child(Node* parent, const char* p, std::size_t n) {
    if (n > kMaxKey) return nullptr;
    const std::uint64_t h = key_hash(parent->id, p, n);
    std::size_t mask = table_.size() - 1;
    std::size_t i = h & mask;
    for (; table_[i] != nullptr; i = (i + 1) & mask) {
      Node* x = table_[i];
      if (x->parent == parent && same_key(*x, p, n)) return x;
    }
    return create(parent, p, n);
  }

  Node* create(Node* parent, const char* p, std::size_t n) {
    if (nodes_.size() >= kMaxNodes) {
      full_ = true;  // the cache begins anew after this record
      if (nodes_.size() >= kMaxNodes + 20'000) return nullptr;
    }
    Node& x = nodes_.emplace_back();
    x.parent = parent;
    x.id = static_cast<std::uint32_t>(nodes_.size());
    keys_.emplace_back(p, n);
    x.key = keys_.back().data();
    x.key_length = static_cast<std::uint32_t>(n);
    std::string name = keys_.back();
    if (has_escape(name.data(), name.size())) {
      std::string plain;
      event::append_unescaped(plain, name);
      name = std::move(plain);
    }
    x.path = parent == &root_ ? name : parent->path + "." + name;
    if (auto it = signature_paths_.find(x.path); it != signature_paths_.end()) {
      x.signature = value_hash(x.path) | 1;
      x.signature_value = (it->second & 2) != 0;
    }
    std::memcpy(x.head, p, std::min<std::size_t>(n, 16));
    x.marks = x.signature != 0;
    x.quiet = !x.marks && options_.learn == nullptr && !wanted_by_any(x.path);
    x.binding.assign(catalogue_.all().size(), 0);
    if (nodes_.size() * 2 > table_.size()) {
      table_.assign(table_.size() * 2, nullptr);
      for (Node& y : nodes_) insert(&y);
    } else {
      insert(&x);
    }
    return &x;
  }

  bool descends(Node& n) {
    if (n.descend < 0)
      n.descend =
          std::any_of(binders_.begin(), binders_.end(), [&](const Binder& b) { return b.below(n.path); }) ? 1 : 0;
    return n.descend != 0;
  }

  // Short names are what follows some root, so a name that any format wants is the path or what follows one of its dots. Element names
  // of pair arrays are matched by their array's path.
  bool wanted_by_any(std::string_view path) const {
    for (std::string_view p = path;;) {
      if (wanted_.contains(p) || plan_.slot(p)) return true;
      const std::size_t dot = p.find('.');
      if (dot == std::string_view::npos) break;
      p.remove_prefix(dot + 1);
    }
    return false;
  }

  void insert(Node* x) {
    const std::size_t mask = table_.size() - 1;
    std::size_t i = key_hash(x->parent->id, x->key, x->key_length) & mask;
    while (table_[i] != nullptr) i = (i + 1) & mask;
    table_[i] = x;
  }

  std::uint16_t binding_index(Node* node, FormatId format) {
    if (node->hot_format == format) return node->hot_binding;
    std::uint16_t& slot = node->binding[format];
    if (slot != 0) {
      node->hot_format = format;
      node->hot_binding = slot;
    }
    if (slot != 0) return slot;
    Binding b = binders_[format].resolve(node->path);
    slot = b.wanted() ? intern(std::move(b)) : 1;
    return slot;
  }

  std::uint16_t intern(Binding b) {
    if (bindings_.size() >= 65'000) return 1;
    Plain plain;
    plain.enough = b.time_rank < 0 && !b.unwrap && !b.text && !b.url && b.pair == PairPart::none &&
                   b.slots.size() <= 2 && (!b.slots.empty() || b.role != event::Role::none);
    plain.route = b.route;
    plain.role = b.role;
    if (!b.slots.empty()) plain.first = b.slots[0];
    if (b.slots.size() == 2) plain.second = b.slots[1];
    plain_.push_back(plain);
    bindings_.push_back(std::move(b));
    return static_cast<std::uint16_t>(bindings_.size() + 1);
  }

  FormatId recognise(const char* buf) {
    if (const auto known = recognised(signature_)) return *known;
    const FormatId found = recognise_slowly(buf);
    if (formats_by_signature_.size() > 60'000) formats_by_signature_.clear();
    formats_by_signature_.emplace(signature_, found);
    return found;
  }

  std::optional<FormatId> recognised(std::uint64_t signature) {
    RecentFormat& recent = recent_formats_[(signature >> 7) & (kRecent - 1)];
    if (recent.known && recent.signature == signature) return recent.format;
    const auto it = formats_by_signature_.find(signature);
    if (it == formats_by_signature_.end()) return std::nullopt;
    recent = {signature, it->second, true};
    return it->second;
  }

  FormatId recognise_slowly(const char* buf) {
    NameMap<std::vector<const Touch*>> present;
    for (const Touch& t : touches_)
      if (t.node->signature != 0) present[t.node->path].push_back(&t);
    for (FormatId f : order_) {
      const Description& d = catalogue_.at(f);
      if (d.reader != "json") continue;
      for (const Recognition& r : d.recognise) {
        bool holds = !r.keys.empty() || !r.values.empty();
        for (const auto& k : r.keys) holds = holds && present.contains(k);
        for (const auto& [k, wanted] : r.values) {
          auto it = present.find(k);
          holds =
              holds && it != present.end() && std::any_of(it->second.begin(), it->second.end(), [&](const Touch* t) {
                return std::any_of(wanted.begin(), wanted.end(),
                                   [&](const std::string& w) { return iequals(w, {buf + t->offset, t->length}); });
              });
        }
        if (holds) return f;
      }
    }
    return generic_json_.value_or(0);
  }

  // ---- routes --------------------------------------------------------------------------------------------------------

  RouteId resolve_route(const Record& r, const Description& d) {
    event::Route route;
    route.format = d.name;
    route.ocsf_class = d.ocsf;
    const auto add = [](std::vector<std::string>& to, const std::string& v) {
      if (!v.empty() && std::find(to.begin(), to.end(), v) == to.end()) to.push_back(v);
    };
    std::string scratch;
    for (const LogsourceEntry& e : d.logsource) {
      bool holds = true;
      for (const auto& [name, wanted] : e.when) {
        const auto slot = plan_.slot(name);
        bool any = false;
        for (std::uint32_t i = 0; slot && i < r.field_count && !any; ++i) {
          const Field& f = batch_->fields[r.first_field + i];
          if (f.slot != *slot) continue;
          const std::string_view v = batch_->text(f, scratch);
          any = std::any_of(wanted.begin(), wanted.end(), [&](const std::string& w) { return iequals(w, v); });
        }
        if (!any) {
          holds = false;
          break;
        }
      }
      if (!holds) continue;
      add(route.products, e.product);
      add(route.services, e.service);
      add(route.categories, e.category);
      if (!e.ocsf.empty()) route.ocsf_class = e.ocsf;
      route.unknown = route.unknown || e.unknown;
      route.aliases.insert(route.aliases.end(), e.aliases.begin(), e.aliases.end());
      route.adds.insert(route.adds.end(), e.adds.begin(), e.adds.end());
    }
    for (auto* v : {&route.products, &route.services, &route.categories}) std::sort(v->begin(), v->end());
    return routes_.intern(std::move(route));
  }

  struct RouteExtras {
    std::vector<std::pair<Slot, Slot>> aliases;
    std::vector<std::pair<Slot, std::string>> adds;
    bool known = false;
  };
  const RouteExtras& extras_of(RouteId id) {
    if (id == event::kNoRoute) return no_extras_;
    if (id >= extras_.size()) extras_.resize(id + 1U);
    RouteExtras& e = extras_[id];
    if (!e.known) {
      const event::Route& r = routes_.at(id);
      for (const auto& [to, from] : r.aliases) {
        const auto t = plan_.slot(to), f = plan_.slot(from);
        if (t && f) e.aliases.emplace_back(*t, *f);
      }
      for (const auto& [name, value] : r.adds)
        if (auto s = plan_.slot(name)) e.adds.emplace_back(*s, value);
      e.known = true;
    }
    return e;
  }

  // ---- single lines --------------------------------------------------------------------------------------------------

  void one_line(std::size_t at, std::size_t end, std::uint64_t line) {
    const char* base = batch_->raw.data();
    begin_anew_when_full();
    while (end > at && (base[end - 1] == '\r' || base[end - 1] == '\n')) --end;
    if (line == 1 && end - at >= 3 && std::memcmp(base + at, "\xEF\xBB\xBF", 3) == 0) at += 3;
    std::size_t first = at;
    while (first < end && space(base[first])) ++first;
    if (first == end) return;  // an empty line is no record
    if (end - at > options_.max_record) {
      refuse(line, "record_too_long", fmt::format("{} bytes, the limit is {}", end - at, options_.max_record));
      return;
    }
    if (base[first] == '{' && json_allowed()) {
      while (space(base[end - 1])) --end;  // as in a run
      read_text_or_json({base + first, end - first}, first, end, line);
      return;
    }
    if (end - at > kMaxTextLine) {
      refuse(line, "record_too_long", fmt::format("{} bytes, the limit of a text line is {}", end - at, kMaxTextLine));
      return;
    }
    text_line(at, end, line);
  }

  void read_text_or_json(std::string_view text, std::size_t at, std::size_t end, std::uint64_t line) {
    if (stage1(text.data(), text.size())) {
      const std::uint32_t* s = index().structural_indexes.get();
      json_record(text.data(), s, s + index().n_structural_indexes, at, end, line, 0, static_cast<std::uint32_t>(at));
      return;
    }
    if (last_error_ == simdjson::UTF8_ERROR) {
      ++stats_.repaired;
      const std::string fixed = repair_utf8(text);
      repairing_ = true;
      derived_record(fixed, at, end, line);
      repairing_ = false;
      return;
    }
    const char* reason = last_error_ == simdjson::UNCLOSED_STRING   ? "json_string_unclosed"
                         : last_error_ == simdjson::UNESCAPED_CHARS ? "json_control_character_in_string"
                         : last_error_ == simdjson::EMPTY           ? "json_empty"
                                                                    : "json_unreadable";
    refuse(line, reason, text.substr(0, 80));
  }

  // A record whose bytes are no part of raw (repaired, unwrapped): they go to batch.derived, fields point there.
  void derived_record(std::string_view text, std::size_t at, std::size_t end, std::uint64_t line) {
    auto& derived = batch_->derived;
    const std::size_t start = derived.size();
    if (start + text.size() > 0xF0000000U) {
      refuse(line, "batch_too_large", "");
      return;
    }
    derived += text;
    // json_record may append to derived (constants, nested unwraps): it reads from a copy that does not move, and a little beyond its end.
    std::string copy;
    copy.reserve(text.size() + JsonShapes::kPadding);
    copy = text;
    const auto field_base = static_cast<std::uint32_t>(start);
    if (options_.shapes) {
      const auto f = shapes_.find(copy.data(), 0, static_cast<std::uint32_t>(copy.size()));
      if (f.shape != JsonShapes::kNone && f.end == copy.size() &&
          known_record(f.shape, copy.data(), at, end, line, Field::kDerived, field_base))
        return;
    }
    if (!stage1(copy.data(), copy.size())) {
      refuse(line, last_error_ == simdjson::UTF8_ERROR ? "json_not_utf8" : "json_unreadable", text.substr(0, 80));
      return;
    }
    const std::uint32_t* s = index().structural_indexes.get();
    json_record(copy.data(), s, s + index().n_structural_indexes, at, end, line, Field::kDerived, field_base);
  }

  bool try_unwrap(std::string_view body, std::size_t at, std::size_t end, std::uint64_t line) {
    std::size_t i = 0;
    while (i < body.size() && body[i] == ' ') ++i;
    if (i == body.size() || (body[i] != '{' && body[i] != '\\')) return false;
    std::string plain;
    event::append_unescaped(plain, body.substr(i));
    std::erase(plain, '\n');
    if (!plain.empty() && plain[0] == '{') {
      // The outer record's state is kept aside: the inner one uses the same index and touch list.
      auto touches = std::move(touches_);
      auto times = std::move(times_);
      touches_ = {};
      const auto signature = signature_;
      const std::size_t records = batch_->records.size(), refusals = batch_->refusals.size(),
                        fields = batch_->fields.size();
      ++unwrap_depth_;
      derived_record(plain, at, end, line);
      --unwrap_depth_;
      if (batch_->records.size() > records) return true;
      batch_->refusals.resize(refusals);
      batch_->fields.resize(fields);
      touches_ = std::move(touches);
      times_ = std::move(times);
      signature_ = signature;
      return false;
    }
    return false;
  }

  // ---- text ----------------------------------------------------------------------------------------------------------

  class Sink final : public FieldSink {
   public:
    Sink(Impl& impl, FormatId format, std::string_view line, std::uint32_t base, std::uint8_t flags)
        : impl_(impl), format_(format), line_(line), base_(base), flags_(flags), route_key_(~route_start(format)) {}
    void put(std::string_view name, std::string_view value) override {
      if (++count_ > 2000) return;
      const Binding& b = impl_.named(format_, name);
      if (!b.wanted()) return;
      std::uint32_t offset;
      std::uint8_t flags = flags_;
      if (value.data() >= line_.data() && value.data() + value.size() <= line_.data() + line_.size()) {
        offset = base_ + static_cast<std::uint32_t>(value.data() - line_.data());
      } else {
        offset = static_cast<std::uint32_t>(impl_.batch_->derived.size());
        impl_.batch_->derived += value;
        flags = Field::kDerived;
      }
      if (b.route) route_key_ = (route_key_ ^ value_hash(value) ^ value_hash(name)) * 0x9E3779B97F4A7C15ULL;
      if (b.time_rank >= 0 && b.time_rank < best_time_ && !own_time_) {
        auto t = parse_time(value);
        if (!t) t = parse_epoch(value);
        if (t) {
          best_time_ = b.time_rank;
          happened_ = micros(*t);
        }
      }
      impl_.emit(b, offset, static_cast<std::uint32_t>(value.size()), flags);
    }
    void happened(Instant t) override {
      happened_ = micros(t);
      own_time_ = true;
    }
    void format(std::string_view name) override {
      if (auto f = impl_.catalogue_.find(name)) {
        format_ = *f;
        route_key_ = ~route_start(*f);
      }
    }
    FormatId format_now() const { return format_; }
    std::uint64_t route_key() const { return route_key_; }
    std::int64_t happened_us() const { return happened_; }

   private:
    Impl& impl_;
    FormatId format_;
    std::string_view line_;
    std::uint32_t base_;
    std::uint8_t flags_;
    std::uint64_t route_key_;
    std::int64_t happened_ = 0;
    int best_time_ = 127;
    bool own_time_ = false;
    unsigned count_ = 0;
  };
  friend class Sink;

  const Binding& named(FormatId format, std::string_view name) {
    auto& map = names_[format];
    if (auto it = map.find(name); it != map.end()) return it->second;
    if (map.size() > 5000) map.clear();  // key=value logs may name anything
    return map.emplace(std::string(name), binders_[format].resolve(name)).first->second;
  }

  void text_line(std::size_t at, std::size_t end, std::uint64_t line) {
    std::string_view text(batch_->raw.data() + at, end - at);
    std::string fixed;
    std::uint8_t flags = 0;
    std::uint32_t base = static_cast<std::uint32_t>(at);
    if (!simdjson::validate_utf8(text.data(), text.size())) {
      ++stats_.repaired;
      fixed = repair_utf8(text);
      base = static_cast<std::uint32_t>(batch_->derived.size());
      batch_->derived += fixed;
      text = fixed;
      flags = Field::kDerived;
      repairing_ = true;
    }
    text_line(text, base, flags, at, end, line);
    repairing_ = false;
  }

  /// A line of a table with a header (csv_rows.hpp): the header among the first lines, or a row of it.
  bool table_line(std::string_view text, std::size_t at, std::size_t end, std::uint64_t line) {
    if (!csv_ && (line > kFirstLines || !tables_ || !json_allowed())) return false;
    if (text.starts_with("#TYPE ")) {  // Export-Csv of PowerShell 5
      ++stats_.meta;
      return true;
    }
    if (!csv_) {
      csv_ = CsvRows::of_header(text, [&](const std::vector<std::string>& names) { return keys_of_a_format(names); });
      if (!csv_) return false;
      ++stats_.meta;
      return true;
    }
    if (text == csv_->header()) {  // files behind one another
      ++stats_.meta;
      return true;
    }
    std::string json;
    const auto known = [&](const std::vector<std::string>& names) { return keys_of_a_format(names); };
    if (const char* reason = csv_->row(text, json)) {
      if (auto next = CsvRows::of_header(text, known)) {  // another table behind it
        csv_ = std::move(next);
        ++stats_.meta;
      } else {
        refuse(line, "csv_row_broken", reason);
      }
      return true;
    }
    derived_record(json, at, end, line);
    return true;
  }

  bool keys_of_a_format(const std::vector<std::string>& names) const {
    for (const FormatId f : order_) {
      const Description& d = catalogue_.at(f);
      if (d.reader != "json" || (options_.format && *options_.format != f)) continue;
      for (const Recognition& r : d.recognise)
        if (!r.keys.empty() && r.values.empty() && std::all_of(r.keys.begin(), r.keys.end(), [&](const std::string& k) {
              return std::find(names.begin(), names.end(), k) != names.end();
            }))
          return true;
    }
    return false;
  }

  void text_line(std::string_view text, std::uint32_t base, std::uint8_t flags, std::size_t at, std::size_t end,
                 std::uint64_t line) {
    if (table_line(text, at, end, line)) return;
    const std::size_t fields = batch_->fields.size(), derived = batch_->derived.size();
    std::string reason, first_reason;
    const auto attempt = [&](FormatId f) -> LineVerdict {
      Sink sink(*this, f, text, base, flags);
      reason.clear();
      const LineVerdict v = text_readers_[f]->read(text, sink, reason);
      if (v == LineVerdict::event) {
        Record r;
        r.offset = static_cast<std::uint32_t>(at);
        r.length = static_cast<std::uint32_t>(end - at);
        r.line = line;
        r.format = sink.format_now();
        r.first_field = static_cast<std::uint32_t>(fields);
        r.happened_us = sink.happened_us();
        r.repaired = repairing_;
        finish(r, sink.route_key(), catalogue_.at(r.format));
        sticky_ = f;
      } else {
        batch_->fields.resize(fields);
        batch_->derived.resize(derived);
        if (v == LineVerdict::meta) {
          ++stats_.meta;
          sticky_ = f;
        }
      }
      return v;
    };
    if (options_.format && text_readers_[*options_.format]) {
      const LineVerdict v = attempt(*options_.format);
      if (v == LineVerdict::refused || v == LineVerdict::not_mine)
        refuse(line, v == LineVerdict::refused ? "line_broken" : "line_not_of_the_named_format", reason);
      return;
    }
    if (options_.format && catalogue_.at(*options_.format).reader == "json") {
      refuse(line, "json_not_an_object", text.substr(0, 80));
      return;
    }
    FormatId tried = 0xFFFF;
    if (sticky_ != 0xFFFF && text_readers_[sticky_] && text_readers_[sticky_]->likelihood(text) >= 50) {
      tried = sticky_;
      const LineVerdict v = attempt(sticky_);
      if (v == LineVerdict::event || v == LineVerdict::meta) return;
      if (v == LineVerdict::refused) first_reason = catalogue_.at(sticky_).name + ": " + reason;
    }
    std::vector<std::pair<int, FormatId>> ranked;
    for (FormatId f : order_)
      if (f != tried && text_readers_[f])
        if (const int p = text_readers_[f]->likelihood(text); p > 0) ranked.emplace_back(p, f);
    std::stable_sort(ranked.begin(), ranked.end(), [](const auto& a, const auto& b) { return a.first > b.first; });
    for (std::size_t i = 0; i < ranked.size() && i < 4; ++i) {
      const LineVerdict v = attempt(ranked[i].second);
      if (v == LineVerdict::event || v == LineVerdict::meta) return;
      if (v == LineVerdict::refused && first_reason.empty())
        first_reason = catalogue_.at(ranked[i].second).name + ": " + reason;
    }
    if (!first_reason.empty()) {
      refuse(line, "line_broken", first_reason);
      return;
    }
    plain(text, base, flags, at, end, line);
  }

  // Text of no known format is still searched for indicators; bytes that are no text are refused.
  void plain(std::string_view text, std::uint32_t base, std::uint8_t flags, std::size_t at, std::size_t end,
             std::uint64_t line) {
    std::size_t control = 0;
    for (char c : text.substr(0, 1000))
      if (static_cast<unsigned char>(c) < 0x20 && c != '\t' && c != 0x1B) ++control;
    if (control * 10 > std::min<std::size_t>(text.size(), 1000)) {
      refuse(line, "not_text",
             fmt::format("{} of its first {} bytes are control characters", control,
                         std::min<std::size_t>(text.size(), 1000)));
      return;
    }
    if (!plain_text_) {
      refuse(line, "format_unknown", text.substr(0, 80));
      return;
    }
    const FormatId f = *plain_text_;
    Record r;
    r.offset = static_cast<std::uint32_t>(at);
    r.length = static_cast<std::uint32_t>(end - at);
    r.line = line;
    r.format = f;
    r.first_field = static_cast<std::uint32_t>(batch_->fields.size());
    r.repaired = repairing_;
    emit(named(f, "message"), base, static_cast<std::uint32_t>(text.size()), flags);
    finish(r, f, catalogue_.at(f));
  }

  void refuse(std::uint64_t line, const char* reason, std::string_view detail) {
    event::Refusal x;
    x.line = line;
    x.reason = reason;
    x.detail = is_valid_utf8(detail) ? std::string(detail.substr(0, 200)) : repair_utf8(detail.substr(0, 200));
    batch_->refusals.push_back(std::move(x));
  }

  const Catalogue& catalogue_;
  const event::FieldPlan& plan_;
  event::RouteTable& routes_;
  ReaderOptions options_;
  NameSet plan_prefixes_, wanted_;  // wanted_: every path that some description names
  std::vector<Binder> binders_;
  std::vector<std::pair<Slot, std::string_view UrlParts::*>> url_slots_;
  std::vector<FormatId> order_;   // by priority
  NameMap<int> signature_paths_;  // bit 0: key, bit 1: value too
  std::optional<FormatId> generic_json_, plain_text_;

  // One structural index per unwrap depth: the outer record's is still in use while the inner one is read.
  std::array<std::unique_ptr<simdjson::internal::dom_parser_implementation>, 4> indexes_;
  simdjson::error_code last_error_ = simdjson::SUCCESS;

  Node root_;
  std::deque<Node> nodes_;
  std::deque<std::string> keys_;
  std::vector<Node*> table_;
  bool full_ = false;
  std::vector<Binding> bindings_;
  /// The same in 8 bytes for a binding that says no more than slots, role and route.
  struct Plain {
    Slot first = event::kNoSlot, second = event::kNoSlot;
    event::Role role = event::Role::none;
    bool enough = false, route = false;
  };
  std::vector<Plain> plain_;
  Touches touches_;
  struct TimeValue {
    std::int8_t rank;
    std::uint32_t offset, length;
    ValueKind kind;
  };
  std::vector<TimeValue> times_;                   // of the record, in its order
  std::optional<CsvRows> csv_;                     // of the stream, once its header was seen
  static constexpr std::uint64_t kFirstLines = 3;  // one of them may be a header
  bool tables_ = true;
  JsonShapes shapes_;
  std::vector<KnownShape> known_;  // by number of shape
  std::vector<Latest> latest_;     // the same
  std::vector<Uses::Put> latest_puts_;
  static constexpr std::size_t kMostPuts = 1U << 18;
  std::vector<JsonShapes::Place> places_;
  std::size_t slow_lines_ = 1;  // how many lines are indexed together when the next one is of no known shape
  std::uint64_t signature_ = 0;
  std::unordered_map<std::uint64_t, FormatId> formats_by_signature_;
  std::unordered_map<std::uint64_t, RouteId> route_cache_;
  static constexpr std::size_t kRecent = 2048;  // small caches before the maps: a look costs one line
  struct RecentRoute {
    std::uint64_t key = 0;
    RouteId route = event::kNoRoute;
  };
  struct RecentFormat {
    std::uint64_t signature = 0;
    FormatId format = 0;
    bool known = false;
  };
  std::vector<RecentRoute> recent_routes_ = std::vector<RecentRoute>(kRecent);
  std::vector<RecentFormat> recent_formats_ = std::vector<RecentFormat>(kRecent);
  std::vector<RouteExtras> extras_;
  RouteExtras no_extras_;
  std::vector<NameMap<Binding>> names_;                    // text formats: field name -> binding
  std::vector<std::unique_ptr<LineReader>> text_readers_;  // by format; null for JSON
  FormatId sticky_ = 0xFFFF;
  FormatId sure_ = 0xFFFF;                  // the reader that was sure of the last line inside JSON
  std::vector<std::size_t> ends_;           // line ends of the run that is read
  std::vector<const std::uint32_t*> cuts_;  // and the structurals its lines begin at
  std::size_t unwrap_depth_ = 0;
  bool repairing_ = false;
  EventBatch* batch_ = nullptr;
};

Reader::Reader(const Catalogue& c, const event::FieldPlan& p, event::RouteTable& r, ReaderOptions o)
    : impl_(std::make_unique<Impl>(c, p, r, o)) {}
Reader::~Reader() = default;
Reader::Reader(Reader&&) noexcept = default;
std::uint64_t Reader::read(EventBatch& b, std::size_t from, std::size_t to, std::uint64_t line) {
  return impl_->read(b, from, to, line);
}
void Reader::no_table() {
  impl_->no_table();
}
void Reader::new_source(std::optional<FormatId> f, std::optional<Instant> t) {
  impl_->set_format(f);
  impl_->new_source(f, t);
}
std::string Reader::context() const {
  return impl_->context();
}
const Reader::Stats& Reader::stats() const {
  return impl_->stats_;
}

}  // namespace bavn::formats
