#include "match/hotpath/matcher.hpp"

#define XXH_INLINE_ALL
#include <xxhash.h>

#include <algorithm>
#include <cstring>

#include "base/text.hpp"

namespace bavn::match::hotpath {

using event::Field;
using event::ValueKind;
using sigma::Node;
using sigma::Op;
using sigma::Predicate;

namespace {

constexpr std::size_t kSets = 32768;  // two entries each
constexpr unsigned kRecordBits = 16;
constexpr std::size_t kPool = 1U << 20;  // witness numbers kept

std::uint64_t mix(std::uint64_t h, std::uint64_t with) {
  h ^= with * 0x9E3779B97F4A7C15ULL;
  h ^= h >> 32;
  return h * 0xD6E8FEB86659FD93ULL;
}

}  // namespace

void each_json_value(std::string_view s, const sigma::RecordView::Visit& visit) {
  std::string plain;
  std::size_t i = 0;
  while (i < s.size()) {
    const char c = s[i];
    if (c == '"') {
      std::size_t j = i + 1;
      bool escaped = false;
      while (j < s.size() && s[j] != '"') {
        if (s[j] == '\\') {
          escaped = true;
          ++j;
        }
        ++j;
      }
      const std::string_view body = s.substr(i + 1, std::min(j, s.size()) - i - 1);
      i = j + 1;
      std::size_t k = i;
      while (k < s.size() && (s[k] == ' ' || s[k] == '\t' || s[k] == '\n' || s[k] == '\r')) ++k;
      if (k < s.size() && s[k] == ':') continue;  // a key
      std::string_view v = body;
      if (escaped) {
        plain.clear();
        event::append_unescaped(plain, body);
        v = plain;
      }
      if (!visit(v, ValueKind::string)) return;
    } else if (c == '-' || (c >= '0' && c <= '9') || c == 't' || c == 'f' || c == 'n') {
      std::size_t j = i;
      while (j < s.size() && s[j] != ',' && s[j] != '}' && s[j] != ']' && s[j] != ' ' && s[j] != '\n') ++j;
      const ValueKind kind = c == 't' || c == 'f' ? ValueKind::boolean : c == 'n' ? ValueKind::null : ValueKind::number;
      if (!visit(s.substr(i, j - i), kind)) return;
      i = j;
    } else {
      ++i;
    }
  }
}

void BatchRecordView::for_each(std::string_view field, const Visit& visit) const {
  const auto slot = plan_.slot(field);
  if (!slot) return;
  std::string scratch;
  for (const Field& f : batch_.fields_of(record_))
    if (f.slot == *slot && !visit(batch_.text(f, scratch), f.kind())) return;
}

void BatchRecordView::for_any(const Visit& visit) const {
  const std::string_view line = batch_.line(record_);
  bool go_on = true;
  const Visit watched = [&](std::string_view v, ValueKind k) { return go_on = visit(v, k); };
  if (!line.empty() && line[0] == '{') each_json_value(line, watched);
  else watched(line, ValueKind::string);
  if (!go_on) return;
  // values that are no part of the raw line: repaired, unwrapped, decoded by a text reader
  std::string scratch;
  for (const Field& f : batch_.fields_of(record_))
    if ((f.flags & Field::kDerived) != 0 && !visit(batch_.text(f, scratch), f.kind())) return;
}

Matcher::Matcher(const Program& program, const event::RouteTable& routes, std::uint64_t secret)
    : program_(program), routes_(routes), secret_(secret) {
  records_.resize(std::size_t{1} << kRecordBits);
  memo_.resize(kSets * 2);
  seen_once_.resize(4096);  // 256 Ki bits
  rule_epoch_.resize(program.set().rules.size());
  looked_at_.resize(program.set().rules.size());
  predicate_epoch_.resize(program.set().predicates.size());
  keyword_epoch_.resize(program.set().predicates.size());
  predicate_value_.resize(program.set().predicates.size());
  decisive_.resize(program.nodes().size());
  slot_epoch_.resize(program.plan().size());
  slot_first_.resize(program.plan().size());
}
Matcher::~Matcher() = default;

Matcher::RouteState& Matcher::state(event::RouteId id) {
  if (id >= states_.size()) states_.resize(id + 1U);
  RouteState& s = states_[id];
  if (s.program == nullptr) {
    s.program = &program_.route(id, routes_.at(id));
    s.use.resize(s.program->fields.size());
  }
  return s;
}

// The keys of records [from, to), at most kAhead of them, and of their fields that rules look at.
void Matcher::hash_records(const event::EventBatch& batch, std::size_t from, std::size_t to) {
  hashes_from_ = batch.records[from].first_field;
  const event::Record& last = batch.records[to - 1];
  const std::size_t fields = last.first_field + last.field_count - hashes_from_;
  if (hashes_.size() < fields) hashes_.resize(fields);
  for (std::size_t r = from; r < to; ++r) {
    const event::Record& record = batch.records[r];
    if (record.route == event::kNoRoute) continue;
    const RouteProgram& p = *state(record.route).program;
    if (p.rules.empty()) continue;
    const char* const reads = p.reads.data();
    std::uint64_t key = record.route + 1U;  // 0 is an empty place
    for (std::uint32_t i = record.first_field; i < record.first_field + record.field_count; ++i) {
      const Field& f = batch.fields[i];
      if (f.slot == event::kNoSlot || reads[f.slot] == 0) continue;
      const std::string_view bytes = batch.bytes(f);
      const std::uint64_t h =
          XXH3_64bits_withSeed(bytes.data(), bytes.size(), secret_ + (f.flags & (Field::kKindMask | Field::kEscaped)));
      hashes_[i - hashes_from_] = h;
      key = mix(key ^ h, f.slot + 1U);
    }
    keys_[r % kAhead] = key;
    __builtin_prefetch(&records_[key >> (64 - kRecordBits)]);
  }
}

void Matcher::match(const event::EventBatch& batch, std::vector<Hit>& hits) {
  batch_ = &batch;
  for (std::uint32_t r = 0; r < batch.records.size(); ++r) {
    if (r % kAhead == 0) hash_records(batch, r, std::min<std::size_t>(r + kAhead, batch.records.size()));
    const event::Record& record = batch.records[r];
    if (record.route == event::kNoRoute) continue;
    RouteState& st = state(record.route);
    const RouteProgram& p = *st.program;
    if (p.rules.empty()) continue;
    record_ = &record;
    route_ = &p;
    if (++epoch_ == 0) {
      for (auto* v : {&rule_epoch_, &predicate_epoch_, &keyword_epoch_, &slot_epoch_, &text_epoch_})
        std::fill(v->begin(), v->end(), 0);
      epoch_ = 1;
    }
    indexed_ = values_listed_ = line_folded_ = false;
    candidates_.clear();
    const std::uint64_t key = keys_[r % kAhead];
    KnownRecord* home = nullptr;
    FieldUse& use = st.records;
    ++use.probes;
    if (!use.bypass) {
      KnownRecord& known = records_[key >> (64 - kRecordBits)];
      if (known.key == key) {
        ++use.found;
        ++stats_.record_hits;
        for (std::uint32_t k = 0; k < known.count; ++k) {
          const RuleIndex rule = record_pool_[known.from + k];
          rule_epoch_[rule] = epoch_;
          candidates_.push_back(rule);
        }
      } else {
        home = &known;
      }
      if (use.probes >= 8192) {
        use.bypass = use.found * 10 < use.probes * 2;
        use.probes = use.found = 0;
      }
    } else if (use.probes >= 65536) {
      use.bypass = false;
      use.probes = use.found = 0;
    }
    if (home != nullptr || use.bypass) {
      look_at_values(record, p, st);
      for (RuleIndex rule : p.always)
        if (rule_epoch_[rule] != epoch_) {
          rule_epoch_[rule] = epoch_;
          candidates_.push_back(rule);
        }
    }
    const std::size_t by_values = candidates_.size();
    if (p.keywords != nullptr) {
      const std::string_view line = batch.line(record);
      found_.clear();
      p.keywords->find(line, keyword_scratch_, found_);
      // Letters need no escape in JSON, but may have one: then the decoded line is searched.
      if (!line.empty() && line[0] == '{' &&
          std::find(found_.begin(), found_.end(), KeywordWitnesses::kEscapedLetters) != found_.end()) {
        line_.clear();
        event::append_unescaped(line_, line);
        p.keywords->find(line_, keyword_scratch_, found_);
      }
      for (const Field& f : batch.fields_of(record))
        if ((f.flags & Field::kDerived) != 0) p.keywords->find(batch.text(f, scratch_), keyword_scratch_, found_);
      for (PredicateId id : found_)
        if (const auto it = p.witness_number.find(id); it != p.witness_number.end()) {
          keyword_epoch_[id] = epoch_;
          propose(p, it->second);
        }
    }
    const std::size_t before = hits.size();
    remembered_.clear();
    for (std::size_t c = 0; c < candidates_.size(); ++c) {
      const RuleIndex rule = candidates_[c];
      ++stats_.candidates;
      ++looked_at_[rule];
      const bool yes = holds(program_.condition(rule));
      // Keywords are no part of what the record is known by: a rule that asks for them may hold the next time.
      if (home != nullptr && c < by_values && (yes || program_.asks_text(rule))) remembered_.push_back(rule);
      if (yes) hits.push_back({r, rule});
    }
    if (home != nullptr) {
      if (record_pool_.size() + remembered_.size() > kPool) {
        record_pool_.clear();
        std::fill(records_.begin(), records_.end(), KnownRecord{});
      }
      *home = {key, static_cast<std::uint32_t>(record_pool_.size()), static_cast<std::uint32_t>(remembered_.size())};
      record_pool_.insert(record_pool_.end(), remembered_.begin(), remembered_.end());
    }
    if (hits.size() == before) continue;
    stats_.hits += hits.size() - before;
    std::sort(hits.begin() + static_cast<std::ptrdiff_t>(before), hits.end(),
              [](const Hit& a, const Hit& b) { return a.rule < b.rule; });
  }
}

void Matcher::look_at_values(const event::Record& record, const RouteProgram& p, RouteState& st) {
  const event::EventBatch& batch = *batch_;
  const Field* const fields = batch.fields.data() + record.first_field;
  for (std::uint32_t i = 0; i < record.field_count; ++i) {
    const Field& f = fields[i];
    if (f.slot == event::kNoSlot || p.by_slot[f.slot] == 0) continue;
    const std::uint32_t fi = p.by_slot[f.slot] - 1U;
    if (!p.present[fi].empty())
      for (RuleIndex rule : p.present[fi])
        if (rule_epoch_[rule] != epoch_) {
          rule_epoch_[rule] = epoch_;
          candidates_.push_back(rule);
        }
    if (p.fields[fi].empty()) continue;
    ++stats_.values;
    const std::string_view bytes = batch.bytes(f);
    FieldUse& use = st.use[fi];
    Entry* home = nullptr;
    std::uint64_t key = 0;
    if (!use.bypass) {
      key = mix(hashes_[record.first_field + i - hashes_from_], static_cast<std::uint64_t>(record.route) << 20 |
                                                                    static_cast<std::uint64_t>(fi) << 4 |
                                                                    static_cast<std::uint64_t>(f.kind()));
      Entry* const set = &memo_[(key & (kSets - 1)) * 2];
      ++use.probes;
      const Entry* const found = set[0].key == key ? &set[0] : set[1].key == key ? &set[1] : nullptr;
      if (found != nullptr) {
        ++use.found;
        ++stats_.memo_hits;
        for (std::uint32_t k = 0; k < found->count; ++k) propose(p, pool_[found->from + k]);
        continue;
      }
      if (use.probes >= 8192) {
        // remembering does not pay where most values are new; asked again later
        use.bypass = use.found * 10 < use.probes * 3;
        use.probes = use.found = 0;
      }
      const std::uint64_t bit = key >> 40 & 0x3FFFF;
      std::uint64_t& word = seen_once_[bit >> 6];
      if ((word >> (bit & 63U) & 1U) != 0) {
        home = set[0].key == 0 ? &set[0] : set[1].key == 0 ? &set[1] : &set[key >> 63];
      } else {
        word |= 1ULL << (bit & 63U);
        if (++seen_count_ > 100'000) {
          std::fill(seen_once_.begin(), seen_once_.end(), 0);
          seen_count_ = 0;
        }
      }
    } else if (++use.probes >= 65536) {
      use.bypass = false;
      use.probes = use.found = 0;
    }
    found_.clear();
    std::string_view value = bytes;
    if (f.escaped()) {
      scratch_.clear();
      event::append_unescaped(scratch_, bytes);
      value = scratch_;
    }
    p.fields[fi].find(program_.set(), value, f.kind(), folded_, found_);
    numbers_.clear();
    for (PredicateId id : found_) {
      const auto it = p.witness_number.find(id);
      if (it != p.witness_number.end() && std::find(numbers_.begin(), numbers_.end(), it->second) == numbers_.end())
        numbers_.push_back(it->second);
    }
    for (std::uint32_t n : numbers_) propose(p, n);
    if (home != nullptr) {
      if (pool_.size() + numbers_.size() > kPool) {
        pool_.clear();
        std::fill(memo_.begin(), memo_.end(), Entry{});
      }
      home->key = key;
      home->from = static_cast<std::uint32_t>(pool_.size());
      home->count = static_cast<std::uint32_t>(numbers_.size());
      pool_.insert(pool_.end(), numbers_.begin(), numbers_.end());
    }
  }
}

void Matcher::propose(const RouteProgram& p, std::uint32_t number) {
  for (RuleIndex rule : p.targets[number]) {
    if (rule_epoch_[rule] == epoch_) continue;
    rule_epoch_[rule] = epoch_;
    candidates_.push_back(rule);
  }
}

// Conditions are long lists of which one member decides, and mostly the one that did the last time.
bool Matcher::holds(std::uint32_t node) {
  const FlatNode n = program_.nodes()[node];
  switch (n.kind) {
    case Node::Kind::leaf: return predicate(n.predicate);
    case Node::Kind::negate: return !holds(n.first);
    case Node::Kind::all_of:
    case Node::Kind::any_of: {
      const bool decides = n.kind == Node::Kind::any_of;
      const std::uint32_t before = decisive_[node];
      if (before < n.count && holds(n.first + before) == decides) return decides;
      for (std::uint32_t i = 0; i < n.count; ++i)
        if (i != before && holds(n.first + i) == decides) {
          decisive_[node] = i;
          return decides;
        }
      return !decides;
    }
  }
  return false;
}

void Matcher::index_fields() {
  indexed_ = true;
  next_.assign(record_->field_count, 0xFFFF);
  if (text_.size() < record_->field_count) {
    text_.resize(record_->field_count);
    text_epoch_.resize(record_->field_count);
  }
  // backwards, so that each chain runs in record order
  for (std::uint32_t i = std::min<std::uint32_t>(record_->field_count, 0xFFFE); i-- > 0;) {
    const event::Slot slot = batch_->fields[record_->first_field + i].slot;
    if (slot == event::kNoSlot) continue;
    if (slot_epoch_[slot] == epoch_) next_[i] = slot_first_[slot];
    slot_first_[slot] = static_cast<std::uint16_t>(i);
    slot_epoch_[slot] = epoch_;
  }
}

std::string_view Matcher::decoded(std::uint32_t i) {
  const Field& f = batch_->fields[record_->first_field + i];
  if (!f.escaped()) return batch_->bytes(f);
  if (text_epoch_[i] != epoch_) {
    text_[i].clear();
    event::append_unescaped(text_[i], batch_->bytes(f));
    text_epoch_[i] = epoch_;
  }
  return text_[i];
}

bool Matcher::predicate(PredicateId id) {
  if (predicate_epoch_[id] == epoch_) return predicate_value_[id] != 0;
  const Predicate& p = program_.set().predicates[id];
  bool yes = false;
  if (p.field.empty()) {
    // What the pass over the record looked for and did not see is not there.
    yes = (keyword_epoch_[id] == epoch_ || !route_->witness_number.contains(id)) && keyword(id);
  } else if (p.op == Op::field_ref) {
    yes = sigma::satisfied(p, BatchRecordView(program_.plan(), *batch_, *record_));
  } else {
    if (!indexed_) index_fields();
    const event::Slot slot = program_.slot_of(id);
    const bool present = slot != event::kNoSlot && slot_epoch_[slot] == epoch_;
    if (p.op == Op::is_null) {
      yes = true;
      if (present)
        for (std::uint32_t i = slot_first_[slot]; i != 0xFFFF && yes; i = next_[i])
          yes = batch_->fields[record_->first_field + i].kind() == ValueKind::null;
    } else if (present) {
      for (std::uint32_t i = slot_first_[slot]; i != 0xFFFF && !yes; i = next_[i])
        yes = sigma::satisfied(p, decoded(i), batch_->fields[record_->first_field + i].kind());
    }
  }
  predicate_epoch_[id] = epoch_;
  predicate_value_[id] = yes ? 1 : 0;
  return yes;
}

bool Matcher::keyword(PredicateId id) {
  const Predicate& p = program_.set().predicates[id];
  const std::string_view line = batch_->line(*record_);
  if (!line_folded_) {
    line_folded_ = true;
    folded_line_.clear();
    if (!line.empty() && line[0] == '{') event::append_unescaped(folded_line_, line);
    else folded_line_ = line;
    for (const Field& f : batch_->fields_of(*record_))
      if ((f.flags & Field::kDerived) != 0) folded_line_.append("\n").append(batch_->text(f, scratch_));
    folded_line_ = to_lower_utf8(folded_line_);
  }
  for (const std::string& part : program_.keyword_parts(id))
    if (folded_line_.find(part) == std::string::npos) return false;
  if (!values_listed_) {
    values_listed_ = true;
    all_values_.clear();
    all_text_.clear();
    BatchRecordView(program_.plan(), *batch_, *record_).for_any([&](std::string_view v, ValueKind kind) {
      const bool lasts = v.data() >= line.data() && v.data() + v.size() <= line.data() + line.size();
      all_values_.emplace_back(lasts ? v : std::string_view(all_text_.emplace_back(v)), kind);
      return all_values_.size() < 100'000;
    });
  }
  return std::any_of(all_values_.begin(), all_values_.end(),
                     [&](const auto& v) { return sigma::satisfied(p, v.first, v.second); });
}

}  // namespace bavn::match::hotpath
