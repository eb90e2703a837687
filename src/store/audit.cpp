#include "store/audit.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <map>

namespace bavn::store::audit {

namespace {

constexpr std::size_t kMostFindings = 100;
constexpr std::int64_t kLookAround = 1000;  // places an entry is looked for that does not belong where it stands

std::string entries(std::int64_t first, std::int64_t last) {
  return first == last ? fmt::format("entry {}", first) : fmt::format("entries {} to {}", first, last);
}

/// The seq under which this row's content was hashed, near where it stands now.
std::optional<std::int64_t> true_place(AuditRow row) {
  const std::int64_t here = row.seq;
  for (std::int64_t d = 1; d <= kLookAround; ++d)
    for (const std::int64_t seq : {here - d, here + d}) {
      row.seq = seq;
      if (seq > 0 && hash_of(row) == row.hash.bytes) return seq;
    }
  return std::nullopt;
}

class Verifier {
 public:
  Verifier(Report& report, std::optional<ChainHead> start) : report_(report), start_(std::move(start)) {
    if (start_) {
      last_seq_ = start_->seq;
      last_hash_ = start_->hash.bytes;
      report_.taken_by_retention = start_->seq;
    }
  }

  void row(const AuditRow& row) {
    if (report_.entries++ == 0) report_.first = row.seq;
    report_.last = row.seq;
    if (row.seq <= last_seq_) {  // before where retention says the chain begins
      add(Fault::reordered, row.seq, row.seq,
          fmt::format("entry {} stands where retention had taken all up to {}", row.seq, last_seq_));
      return;
    }
    if (row.seq != last_seq_ + 1)
      add(Fault::missing, last_seq_ + 1, row.seq - 1,
          fmt::format("{} {} missing", entries(last_seq_ + 1, row.seq - 1), row.seq == last_seq_ + 2 ? "is" : "are"));
    const bool adjacent = row.seq == last_seq_ + 1;
    if (hash_of(row) != row.hash.bytes) {
      if (const auto place = true_place(row))
        add(Fault::reordered, row.seq, row.seq,
            fmt::format("entry {} is what was written as entry {}: they were reordered", row.seq, *place));
      else add(Fault::changed, row.seq, row.seq, fmt::format("entry {} was changed after it was written", row.seq));
    } else if (adjacent && row.previous.bytes != last_hash_ && !last_was_wrong_) {
      // Each is whole, they do not belong together: the one before was replaced by another that is whole.
      add(Fault::changed, last_seq_, last_seq_,
          fmt::format("entry {} was replaced after entry {} was written", last_seq_, row.seq));
    }
    last_was_wrong_ = hash_of(row) != row.hash.bytes;
    last_seq_ = row.seq;
    last_hash_ = row.hash.bytes;
  }

  void witness(const Witness& w, const std::string* hash_here, bool real) {
    ++report_.witnesses;
    if (!real) {
      add(Fault::bad_signature, w.seq, w.seq,
          fmt::format("the signature of {} over entry {} is not theirs", w.party, w.seq));
      return;
    }
    const std::string who = fmt::format("{} signed entry {} on {}", w.party, w.seq, format_time(from_micros(w.at_us)));
    if (w.seq > last_seq_) {
      add(Fault::missing, last_seq_ + 1, w.seq,
          fmt::format("the end is cut off: {}, the newest here is {}", who, last_seq_));
    } else if (hash_here != nullptr && *hash_here != w.hash.bytes) {
      add(Fault::not_ours, w.seq, w.seq, fmt::format("{}, but another entry stands there now", who));
    } else {
      report_.witnessed_to = std::max(report_.witnessed_to, w.seq);
    }
  }

 private:
  void add(Fault fault, std::int64_t first, std::int64_t last, std::string text) {
    if (report_.findings.size() < kMostFindings) report_.findings.push_back({fault, first, last, std::move(text)});
  }
  Report& report_;
  std::optional<ChainHead> start_;
  std::int64_t last_seq_ = 0;
  std::string last_hash_ = std::string(32, '\0');
  bool last_was_wrong_ = false;
};

}  // namespace

std::string witness_bytes(std::string_view chain, std::string_view party, std::int64_t seq, std::string_view hash,
                          std::int64_t at_us) {
  std::string out = "bavn-audit-witness-1";
  append_text(out, chain);
  append_text(out, party);
  append_number(out, seq);
  append_text(out, hash);
  append_number(out, at_us);
  return out;
}

Result<ChainHead> head(Reader& reader) {
  BAVN_TRY(auto found, reader.one<ChainHead>("SELECT seq, hash FROM audit ORDER BY seq DESC LIMIT 1"));
  if (!found) {
    BAVN_TRY(found, reader.one<ChainHead>("SELECT seq, hash FROM audit_start"));
  }
  return found ? std::move(*found) : ChainHead{0, Blob{std::string(32, '\0')}};
}

Result<void> keep_witness(Tx& tx, const Witness& w) {
  if (w.seq < 1 || w.hash.bytes.size() != 32 || w.party.empty() || w.chain.empty())
    return fail(Code::bad_input, "a witness needs a chain, a party, an entry and a hash of 32 bytes", w.party);
  BAVN_TRY(const auto same, tx.one<Blob>("SELECT hash FROM audit_witness WHERE chain = :chain AND seq = :seq "
                                         "AND hash <> :hash LIMIT 1",
                                         {{"chain", w.chain}, {"seq", w.seq}, {"hash", w.hash}}));
  if (same)
    return fail(Code::conflict, fmt::format("entry {} of the audit log of {} was signed with another hash before: that "
                                            "log was written anew",
                                            w.seq, w.chain));
  if (w.chain != kSelf) {
    BAVN_TRY(const auto newest,
             tx.number("SELECT coalesce(max(seq), 0) FROM audit_witness WHERE chain = :chain", {{"chain", w.chain}}));
    if (newest > w.seq)
      return fail(Code::conflict, fmt::format("the audit log of {} ends at entry {}, but it had {} before: it was cut",
                                              w.chain, w.seq, newest));
  }
  BAVN_CHECK(
      tx.exec("INSERT INTO audit_witness (chain, party, seq, hash, at_us, signature) "
              "VALUES (:chain, :party, :seq, :hash, :at, :signature) ON CONFLICT DO NOTHING",
              {{"chain", w.chain},
               {"party", w.party},
               {"seq", w.seq},
               {"hash", w.hash},
               {"at", w.at_us},
               {"signature", w.signature}}));
  return {};
}

Result<std::vector<Witness>> witnesses(Reader& reader, std::string_view chain) {
  return reader.all<Witness>(
      "SELECT chain, party, seq, hash, at_us, signature FROM audit_witness WHERE chain = :chain "
      "ORDER BY seq DESC, party",
      {{"chain", chain}});
}

std::string_view name_of(Fault fault) {
  switch (fault) {
    case Fault::changed: return "changed";
    case Fault::missing: return "missing";
    case Fault::reordered: return "reordered";
    case Fault::not_ours: return "written_anew";
    case Fault::bad_signature: return "bad_signature";
  }
  return "?";
}

Result<Report> verify(Reader& reader, const std::vector<Witness>& also,
                      const std::function<bool(const Witness&)>& signed_by) {
  Report report;
  BAVN_TRY(auto start, reader.one<ChainHead>("SELECT seq, hash FROM audit_start"));
  BAVN_TRY(auto all_witnesses, witnesses(reader, kSelf));
  all_witnesses.insert(all_witnesses.end(), also.begin(), also.end());
  std::map<std::int64_t, std::string> hash_at;  // of the entries somebody signed
  for (const Witness& w : all_witnesses) hash_at[w.seq];
  if (start && hash_at.contains(start->seq)) hash_at[start->seq] = start->hash.bytes;

  Verifier verifier(report, std::move(start));
  BAVN_CHECK(
      (reader.each<AuditRow>("SELECT seq, at_us, who, action, subject, detail, previous, hash FROM audit ORDER BY seq",
                             {}, [&](const AuditRow& row) -> Result<void> {
                               verifier.row(row);
                               if (const auto it = hash_at.find(row.seq); it != hash_at.end())
                                 it->second = row.hash.bytes;
                               return {};
                             })));
  for (const Witness& w : all_witnesses) {
    const std::string& here = hash_at.at(w.seq);
    verifier.witness(w, here.empty() ? nullptr : &here, !signed_by || signed_by(w));
  }
  return report;
}

Result<std::vector<AuditRow>> list(Reader& reader, std::int64_t from, std::size_t most) {
  return reader.all<AuditRow>(
      "SELECT seq, at_us, who, action, subject, detail, previous, hash FROM audit "
      "WHERE seq >= :from ORDER BY seq LIMIT :most",
      {{"from", from}, {"most", most}});
}

Result<std::int64_t> forget_before(Tx& tx, Instant before) {
  // The run of old entries at the start: an entry whose clock was wrong does not take younger ones with it.
  BAVN_TRY(const auto keep_from, tx.one<std::optional<std::int64_t>>(
                                     "SELECT min(seq) FROM audit WHERE at_us >= :before", {{"before", before}}));
  BAVN_TRY(const auto last, tx.one<ChainHead>("SELECT seq, hash FROM audit WHERE seq < :from ORDER BY seq DESC LIMIT 1",
                                              {{"from", *keep_from ? **keep_from : INT64_MAX}}));
  if (!last) return 0;
  BAVN_CHECK(
      tx.exec("INSERT INTO audit_start (only, seq, hash, at_us) VALUES (1, :seq, :hash, :at) "
              "ON CONFLICT (only) DO UPDATE SET seq = excluded.seq, hash = excluded.hash, at_us = excluded.at_us",
              {{"seq", last->seq}, {"hash", last->hash}, {"at", tx.now()}}));
  return tx.exec("DELETE FROM audit WHERE seq <= :seq", {{"seq", last->seq}});
}

}  // namespace bavn::store::audit
