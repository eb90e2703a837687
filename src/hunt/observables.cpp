#include "hunt/observables.hpp"

#include <algorithm>
#include <charconv>
#include <memory>
#include <mutex>

#include "base/hash.hpp"

namespace bavn::hunt {

using event::Kind;
using event::Role;

namespace {

constexpr std::size_t kPadding = 64;  // readers look that far behind the last record

/// An IPv4 address as a number, or the first 64 bits of an IPv6 address: what stands in the index, and how many bits it has.
struct Leading {
  std::uint64_t value = 0;
  unsigned bits = 64;
  explicit Leading(const event::Ip& ip) : bits(ip.v6 ? 64 : 32) {
    for (unsigned i = 0; i < bits / 8; ++i) value = value << 8U | ip.bytes[i];
  }
};

/// Does the text stand in the line by itself (ASCII case ignored)? "192.0.2.3" is not in "192.0.2.30", "a@x.example" not in
/// "b.a@x.example": who is meant by a longer name is somebody else.
bool names(std::string_view line, std::string_view text) {
  const auto word = [](char c) {
    const auto u = static_cast<unsigned char>(c);
    return (c >= '0' && c <= '9') || ((u | 32U) >= 'a' && (u | 32U) <= 'z') || u >= 0x80 || c == '_' || c == '@';
  };
  const auto joins = [&](char c) { return word(c) || c == '.' || c == '-' || c == '+'; };
  const auto lower = [](char c) { return c >= 'A' && c <= 'Z' ? static_cast<char>(c + 32) : c; };
  const auto same = [&](char a, char b) { return lower(a) == lower(b); };
  for (auto at = line.begin(); !text.empty(); ++at) {
    at = std::search(at, line.end(), text.begin(), text.end(), same);
    if (at == line.end()) return false;
    const auto end = at + static_cast<std::ptrdiff_t>(text.size());
    const bool before = at == line.begin() || !joins(at[-1]);
    const bool after = end == line.end() || (!word(*end) && !(joins(*end) && end + 1 != line.end() && word(end[1])));
    if (before && after) return true;
  }
  return false;
}

}  // namespace

void RecordObservables::expand(Kind kind, std::string_view value, event::ObservableSink emit) {
  switch (kind) {
    case Kind::domain:
    case Kind::mail_domain:
      event::for_each_parent(value, domains_.registrable_domain(value), [&](std::string_view name) {
        emit(kind, name);
        if (kind == Kind::mail_domain) emit(Kind::domain, name);
        return true;
      });
      return;
    case Kind::url:
      event::for_each_url_prefix(value, [&](std::string_view prefix, unsigned) {
        emit(Kind::url, prefix);
        return true;
      });
      return;
    default: emit(kind, value);
  }
}

void RecordObservables::of(const event::EventBatch& batch, const event::Record& record, event::ObservableSink emit) {
  const auto all = [&](Kind k, std::string_view v) { expand(k, v, emit); };
  const event::Field* path = nullptr;
  host_.clear();
  for (const event::Field& f : batch.fields_of(record)) {
    if (f.role == Role::none) continue;
    const std::string_view value = batch.text(f, scratch_);
    if (f.role == Role::url_path) {
      path = &f;
      continue;
    }
    if (host_.empty() && (f.role == Role::domain || f.role == Role::host_or_ip)) host_ = value;
    extractor_.extract(f.role, value, all);
  }
  if (path != nullptr && !host_.empty()) extractor_.url_of(host_, batch.text(*path, scratch_), all);
}

void RecordObservables::postings(const event::EventBatch& batch, const event::Record& record,
                                 std::vector<history::Posting>& out) {
  of(batch, record, [&](Kind k, std::string_view v) {
    out.push_back(posting(k, v));
    if (k != Kind::ipv6) return;
    if (const auto ip = event::parse_ip(v)) out.push_back({Leading(*ip).value, static_cast<std::uint8_t>(Kind::cidr)});
  });
}

void RecordObservables::seek(const event::EventBatch& batch, const event::Record& record, bool urls,
                             const std::function<bool(Kind, std::string_view)>& wanted) {
  if (nothing_in_.empty()) nothing_in_.resize(kMemo);
  const event::Field* path = nullptr;
  host_.clear();
  bool any = false;
  const auto ask = [&](Kind k, std::string_view v) { any = wanted(k, v) || any; };
  const auto all = [&](Kind k, std::string_view v) { expand(k, v, ask); };
  for (const event::Field& f : batch.fields_of(record)) {
    if (f.role == Role::none) continue;
    if (f.role == Role::url_path) {
      path = &f;
      continue;
    }
    if (urls && host_.empty() && (f.role == Role::domain || f.role == Role::host_or_ip))
      host_ = batch.text(f, scratch_);
    const std::uint64_t key =
        hash64(batch.bytes(f), static_cast<std::uint64_t>(f.role) * 2 + (f.escaped() ? 1 : 0) + 1) | 1U;
    std::uint64_t& known = nothing_in_[key >> 48U];
    if (known == key) continue;
    any = false;
    extractor_.extract(f.role, batch.text(f, scratch_), all);
    if (!any) known = key;
  }
  if (urls && path != nullptr && !host_.empty()) extractor_.url_of(host_, batch.text(*path, scratch_), all);
}

history::Posting posting(Kind kind, std::string_view canonical_value) {
  const auto k = static_cast<std::uint8_t>(kind);
  if (kind == Kind::ipv4)
    if (const auto ip = event::parse_ip(canonical_value)) return {Leading(*ip).value, k};
  return {event::observable_hash(kind, canonical_value), k};
}

std::optional<history::PostingRange> index_range(const event::Observable& wanted) {
  if (wanted.kind != Kind::cidr) {
    const history::Posting p = posting(wanted.kind, wanted.value);
    return history::PostingRange{p.kind, p.hash, p.hash};
  }
  const auto cidr = event::parse_cidr(wanted.value);
  if (!cidr) return std::nullopt;
  const bool v6 = cidr->network.v6;
  if (cidr->prefix < (v6 ? 16U : 8U)) return std::nullopt;
  const Leading network(cidr->network);
  const unsigned below = network.bits - std::min<unsigned>(cidr->prefix, network.bits);  // bits that are any
  return history::PostingRange{static_cast<std::uint8_t>(v6 ? Kind::cidr : Kind::ipv4), network.value,
                               network.value | ((1ULL << below) - 1)};
}

bool is_wanted(const event::Observable& wanted, Kind kind, std::string_view value) {
  if (wanted.kind != Kind::cidr) return wanted.kind == kind && wanted.value == value;
  if (kind != Kind::ipv4 && kind != Kind::ipv6) return false;
  const auto cidr = event::parse_cidr(wanted.value);
  const auto ip = event::parse_ip(value);
  return cidr && ip && ip->v6 == cidr->network.v6 && event::masked(*ip, cidr->prefix) == cidr->network;
}

std::string encode(const FrameContext& c) {
  std::string out = "bavn1 " + std::to_string(c.reference_us) + (c.named ? " named" : " auto");
  if (!c.header.empty()) {
    out += '\n';
    out += c.header;
  }
  return out;
}

FrameContext decode_context(std::string_view context) {
  FrameContext c;
  const std::size_t end = context.find('\n');
  std::string_view first = context.substr(0, end);
  if (end != std::string_view::npos) c.header = context.substr(end + 1);
  if (!first.starts_with("bavn1 ")) {  // frames of others: header lines alone
    c.header = context;
    return c;
  }
  first.remove_prefix(6);
  std::from_chars(first.data(), first.data() + first.size(), c.reference_us);
  c.named = first.ends_with(" named");
  return c;
}

void read_lines(formats::Reader& reader, const formats::Catalogue& catalogue, std::string_view format,
                std::string_view context, std::string_view lines, event::EventBatch& batch) {
  const FrameContext c = decode_context(context);
  reader.new_source(c.named ? catalogue.find(format) : std::nullopt,
                    c.reference_us != 0 ? std::optional(from_micros(c.reference_us)) : std::nullopt);
  batch.clear();
  std::string& raw = batch.raw.own();
  std::uint64_t header_lines = 0;
  if (!c.header.empty()) {
    raw = c.header;
    if (raw.back() != '\n') raw += '\n';
    for (const char x : raw) header_lines += x == '\n' ? 1 : 0;
  } else {
    reader.no_table();
  }
  raw += lines;
  raw += '\n';
  const std::size_t to = raw.size();
  raw.append(kPadding, '\0');
  reader.read(batch, 0, to, 1);
  for (event::Record& r : batch.records) r.line -= header_lines;
}

history::PersonErasure erasure_of(Engine& engine, std::string_view value) {
  struct State {
    std::mutex mutex;
    formats::Reader reader;
    RecordObservables observables;
    event::EventBatch batch;
    std::string text;
    std::vector<event::Observable> wanted;
    explicit State(Engine& e) : reader(e.catalogue(), e.plan(), e.routes()) {}
  };
  auto state = std::make_shared<State>(engine);
  state->text = value;
  // Kinds that name a person. Not domains or URLs: an address read as one would be the whole domain.
  for (const Kind k : {Kind::email, Kind::account, Kind::phone, Kind::bank_account, Kind::message_id, Kind::ipv4}) {
    const auto o = event::canonical(k, value);
    if (o && o->kind != Kind::cidr) state->wanted.push_back(*o);
  }
  history::PersonErasure out;
  out.texts = {std::string(value)};
  for (const event::Observable& o : state->wanted) out.observables.push_back(posting(o.kind, o.value));
  out.concerns = [state, &engine](const history::FrameInfo& info, std::string_view context, std::string_view line) {
    if (names(line, state->text)) return true;
    const std::lock_guard lock(state->mutex);
    read_lines(state->reader, engine.catalogue(), info.format, context, line, state->batch);
    bool concerned = false;
    for (const event::Record& r : state->batch.records)
      state->observables.of(state->batch, r, [&](Kind k, std::string_view v) {
        for (const event::Observable& o : state->wanted) concerned = concerned || is_wanted(o, k, v);
      });
    return concerned;
  };
  return out;
}

history::Extract extract_with(Engine& engine) {
  // Readers are not for sharing; rebuilding is rare, so calls take turns with one.
  struct State {
    std::mutex mutex;
    formats::Reader reader;
    RecordObservables observables;
    event::EventBatch batch;
    explicit State(Engine& e) : reader(e.catalogue(), e.plan(), e.routes()) {}
  };
  auto state = std::make_shared<State>(engine);
  return [state, &engine](const history::FrameInfo& info, std::string_view context, std::string_view lines,
                          std::vector<history::Posting>& out) {
    const std::lock_guard lock(state->mutex);
    read_lines(state->reader, engine.catalogue(), info.format, context, lines, state->batch);
    for (const event::Record& r : state->batch.records) state->observables.postings(state->batch, r, out);
  };
}

}  // namespace bavn::hunt
