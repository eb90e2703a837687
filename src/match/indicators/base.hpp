#pragma once
// IndicatorBase: an immutable set of up to about 500 million indicators in one contiguous piece of memory that is also its file, so that
// one read-only mapping serves every process of a machine. Split-block Bloom filter -> open-addressing table -> record; a hash
// alone never decides, the canonical bytes are compared. About 42 bytes an indicator (random mix).
// Thread rules: IndicatorBase is immutable and shared; IndicatorBuilder and Matcher belong to one thread.
//
// File, little endian: Header | Bloom blocks (32 bytes each) | table (u32 hash fragment, u32 record offset / 4, 0 = empty) |
// metas (32 bytes each) | texts (sources, comments, patterns; length-prefixed) | patterns (u32 text, u32 meta) | records (4-byte aligned):
// u32 meta, u8 kind (0x80: witness of a pattern, u32 pattern number follows the length), length (u8, or 255 and u32), value.
// Values are text; addresses and hashes binary; cidr one byte prefix, then the address.
#include <array>
#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "base/hash.hpp"
#include "base/result.hpp"
#include "event/domain.hpp"
#include "event/ip.hpp"
#include "match/indicators/indicator.hpp"
#include "match/indicators/stix_pattern.hpp"

namespace bavn::match::indicators {

/// Which probes can hit at all.
struct Present {
  std::uint32_t kinds = 0;          // bit = Kind
  std::uint64_t domain_labels = 0;  // bit = number of labels, 63 for more
  std::uint64_t mail_domain_labels = 0;
  std::uint32_t url_depths = 0;                // bit = depth as event::for_each_url_prefix counts
  std::uint64_t v4_prefixes = 0;               // bit = prefix length
  std::array<std::uint64_t, 2> v6_prefixes{};  // bit = prefix length, 0..127
  void merge(const Present& o);
};

class IndicatorBase;

/// One record of a base. Valid while the base lives.
class IndicatorView {
 public:
  event::Kind kind() const { return kind_; }
  std::string value() const;  // canonical text
  std::string_view source() const;
  std::string_view comment() const;
  std::uint8_t confidence() const;
  event::Tlp tlp() const;
  Action action() const;
  Instant valid_from() const;
  Instant valid_until() const;
  bool valid_at(Instant t) const { return t >= valid_from() && (valid_until() == Instant{} || t < valid_until()); }
  /// Set when this observable is one sign of a STIX pattern: the pattern must hold for the record's observables too.
  const StixPattern* pattern() const;
  /// With a pattern: the pattern as an indicator, not the sign.
  Indicator to_indicator() const;

 private:
  friend class IndicatorBase;
  friend class IndicatorBuilder;
  struct Meta;
  const Meta& meta() const;
  const IndicatorBase* base_ = nullptr;
  std::string_view bytes_;
  std::uint32_t meta_ = 0;
  std::uint32_t pattern_ = 0xFFFFFFFF;
  event::Kind kind_{};
};

class IndicatorBase {
 public:
  static Result<std::shared_ptr<const IndicatorBase>> open(
      const std::string& path);  // maps the file, verifies its checksum
  static Result<std::shared_ptr<const IndicatorBase>> from_bytes(std::string bytes);  // takes the memory
  static std::shared_ptr<const IndicatorBase> empty();
  Result<void> save(const std::string& path) const;  // beside it first, then renamed: a reader never sees half a file
  ~IndicatorBase();
  IndicatorBase(const IndicatorBase&) = delete;
  IndicatorBase& operator=(const IndicatorBase&) = delete;

  std::size_t size() const;  // indicators, patterns included
  std::size_t bytes() const { return data_.size(); }
  const Present& present() const;
  std::span<const StixPattern> patterns() const { return patterns_; }
  /// Patterns without a witness: they must be tried on every record (numbers of patterns()).
  std::span<const std::uint32_t> patterns_without_witness() const { return without_witness_; }
  /// The indicator behind patterns()[i].
  Indicator pattern_indicator(std::size_t i) const;

  /// Exact records of (kind, canonical value); no parents. hash = event::observable_hash(kind, value), for cidr network_hash().
  template <class F>
  void find(event::Kind kind, std::string_view value, std::uint64_t hash, F&& f) const {
    std::string scratch;
    if (may_have(hash)) find_bytes(kind, stored_form(kind, value, scratch), hash, f);
  }
  template <class F>
  void find_bytes(event::Kind kind, std::string_view stored, std::uint64_t hash, F&& f) const {
    std::uint64_t at = first_slot(hash);
    IndicatorView view;
    while (next(kind, stored, hash, at, view)) f(view);
  }
  bool may_have(std::uint64_t hash) const {
    const std::uint64_t* w = block(hash);
    const auto two = [&](unsigned i) {
      return (std::uint64_t{1} << (hash >> (10 * i) & 31)) | (std::uint64_t{1} << (32 + (hash >> (10 * i + 5) & 31)));
    };
    for (unsigned i = 0; i < 4; ++i)
      if (const std::uint64_t m = two(i); (w[i] & m) != m) return false;
    return true;
  }
  void prefetch(std::uint64_t hash) const { __builtin_prefetch(block(hash)); }
  /// Bloom answers for many keys with prefetch: bit i of out[i / 64]. out has (keys.size() + 63) / 64 words.
  void probe(std::span<const std::uint64_t> keys, std::span<std::uint64_t> out) const;
  /// Every record that is an indicator of its own, then every pattern.
  template <class F>
  void for_each(F&& f) const {
    std::uint64_t at = 0;
    IndicatorView view;
    while (next_record(at, view))
      if (view.pattern_ == 0xFFFFFFFF) f(view.to_indicator());
    for (std::size_t i = 0; i < patterns_.size(); ++i) f(pattern_indicator(i));
  }

  /// The same from a place on, for lists that are shown in pages: f(Indicator) until it returns false.
  /// Where the next page begins; end_place() when there is none.
  template <class F>
  std::uint64_t walk(std::uint64_t place, F&& f) const {
    IndicatorView view;
    std::uint64_t at = place;
    while (at < slots_ && next_record(at, view))
      if (view.pattern_ == 0xFFFFFFFF && !f(view.to_indicator())) return at;
    for (std::uint64_t i = at < slots_ ? 0 : at - slots_; i < patterns_.size(); ++i)
      if (!f(pattern_indicator(i))) return slots_ + i + 1;
    return end_place();
  }
  std::uint64_t end_place() const { return slots_ + patterns_.size(); }

  /// The bytes that a record of this value holds (binary for addresses and hashes).
  static std::string_view stored_form(event::Kind kind, std::string_view canonical, std::string& scratch);
  static std::uint64_t network_hash(const event::Ip& masked, unsigned prefix);

 private:
  friend class IndicatorBuilder;
  friend class IndicatorView;
  struct Header;
  IndicatorBase() = default;
  Result<void> attach();
  const Header& header() const;
  const std::uint64_t* block(std::uint64_t hash) const { return bloom_ + 4 * ((hash >> 32) * blocks_ >> 32); }
  std::uint64_t first_slot(std::uint64_t hash) const;
  bool next(event::Kind kind, std::string_view stored, std::uint64_t hash, std::uint64_t& at, IndicatorView& out) const;
  bool next_record(std::uint64_t& at, IndicatorView& out) const;
  bool read_record(std::uint64_t offset, IndicatorView& out, std::uint64_t* end = nullptr) const;
  std::string_view text(std::uint32_t offset) const;

  std::span<const std::byte> data_;
  std::string owned_;
  void* mapped_ = nullptr;
  const std::uint64_t* bloom_ = nullptr;
  std::uint64_t blocks_ = 1;
  const std::uint64_t* table_ = nullptr;
  std::uint64_t slots_ = 1;
  std::vector<StixPattern> patterns_;
  std::vector<std::uint32_t> without_witness_;
};

class IndicatorBuilder {
 public:
  IndicatorBuilder();
  /// Refuses values that are not canonical, networks wider than /8 (IPv6 /16), what can never be found.
  /// One (kind, value, source) is kept once: the last one added counts.
  Result<void> add(const Indicator& indicator);
  std::size_t size() const { return count_ + patterns_.size(); }
  std::shared_ptr<const IndicatorBase> build();  // leaves the builder empty
  Result<void> build_file(const std::string& path) { return build()->save(path); }

 private:
  std::uint32_t meta_of(const Indicator& i);
  std::uint32_t text_of(std::string_view s);
  void add_record(event::Kind kind, std::string_view canonical, std::uint32_t meta, std::uint32_t pattern);

  Present present_;
  std::string records_, metas_, texts_;
  std::vector<std::uint64_t> hashes_;
  std::vector<std::uint32_t> offsets_;                           // / 4
  std::vector<std::pair<std::string, std::uint32_t>> patterns_;  // text, meta
  std::unordered_map<std::string, std::uint32_t, StringHash, std::equal_to<>> known_texts_, known_metas_;
  std::size_t count_ = 0;
  std::string scratch_;
};

/// f(hash, indicator kind, stored bytes) for everything in which an observable can be found: itself, parent domains, URL prefixes,
/// networks; a mail domain is also a domain. Only what `present` has. `hash`: observable_hash(kind, value), or 0 to compute it here.
/// The bytes are valid until f returns.
class Expander {
 public:
  template <class F>
  void expand(const Present& present, event::Kind kind, std::string_view value, F&& f, std::uint64_t hash = 0);

 private:
  template <class F>
  void names(std::uint64_t labels_present, event::Kind as, std::string_view value, F& f);
  event::DomainCache domains_;
  std::string scratch_;
};

template <class F>
void Expander::names(std::uint64_t labels_present, event::Kind as, std::string_view value, F& f) {
  unsigned labels = 1;
  for (char c : value) labels += c == '.' ? 1 : 0;
  event::for_each_parent(value, domains_.registrable_domain(value), [&](std::string_view name) {
    if ((labels_present >> (labels < 63 ? labels : 63) & 1) != 0) f(event::observable_hash(as, name), as, name);
    --labels;
    return true;
  });
}

template <class F>
void Expander::expand(const Present& present, event::Kind kind, std::string_view value, F&& f, std::uint64_t hash) {
  using event::Kind;
  const auto has = [&](Kind k) { return (present.kinds >> static_cast<unsigned>(k) & 1) != 0; };
  switch (kind) {
    case Kind::domain:
      if (has(Kind::domain)) names(present.domain_labels, Kind::domain, value, f);
      return;
    case Kind::mail_domain:
      if (has(Kind::mail_domain)) names(present.mail_domain_labels, Kind::mail_domain, value, f);
      if (has(Kind::domain)) names(present.domain_labels, Kind::domain, value, f);
      return;
    case Kind::url:
      if (has(Kind::url))
        event::for_each_url_prefix(value, [&](std::string_view prefix, unsigned depth) {
          if ((present.url_depths >> depth & 1) != 0) f(event::observable_hash(Kind::url, prefix), Kind::url, prefix);
          return true;
        });
      return;
    case Kind::ipv4:
    case Kind::ipv6: {
      if (!has(kind) && !has(Kind::cidr)) return;
      const auto ip = event::parse_ip(value);
      if (!ip) return;
      const std::string_view bytes(reinterpret_cast<const char*>(ip->bytes.data()), ip->v6 ? 16 : 4);
      if (has(kind)) f(hash != 0 ? hash : event::observable_hash(kind, value), kind, bytes);
      if (!has(Kind::cidr)) return;
      const auto network = [&](unsigned prefix) {
        const event::Ip masked = event::masked(*ip, prefix);
        scratch_.assign(1, static_cast<char>(prefix));
        scratch_.append(reinterpret_cast<const char*>(masked.bytes.data()), bytes.size());
        f(IndicatorBase::network_hash(masked, prefix), Kind::cidr, std::string_view(scratch_));
      };
      if (!ip->v6) {
        for (std::uint64_t m = present.v4_prefixes; m != 0; m &= m - 1)
          network(static_cast<unsigned>(__builtin_ctzll(m)));
      } else {
        for (unsigned half = 0; half < 2; ++half)
          for (std::uint64_t m = present.v6_prefixes[half]; m != 0; m &= m - 1)
            network(half * 64 + static_cast<unsigned>(__builtin_ctzll(m)));
      }
      return;
    }
    default:
      if (has(kind)) {
        const std::uint64_t h = hash != 0 ? hash : event::observable_hash(kind, value);
        f(h, kind, IndicatorBase::stored_form(kind, value, scratch_));
      }
  }
}

}  // namespace bavn::match::indicators
