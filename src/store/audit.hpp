#pragma once
// The audit log: rows chained by their hashes (Tx::audit writes them), heads that other parties sign, and the check of all of it.
// The chain finds what was changed, taken out or moved. What a chain alone cannot find - its newest entries cut off, or all of it written
// anew - the witnesses find: a head another party signed must still be there. Both keep the signature: the signer in its own database
// under the name of our chain, we under "self".
#include <functional>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "store/audit_row.hpp"
#include "store/state.hpp"

namespace bavn::store::audit {

constexpr std::string_view kSelf = "self";

struct ChainHead {
  std::int64_t seq = 0;  // 0: nothing was ever noted
  Blob hash;
};
BOOST_DESCRIBE_STRUCT(ChainHead, (), (seq, hash))

/// A head of a chain that `party` saw and signed. signature: over witness_bytes().
struct Witness {
  std::string chain, party;
  std::int64_t seq = 0;
  Blob hash;
  std::int64_t at_us = 0;
  Blob signature;
};
BOOST_DESCRIBE_STRUCT(Witness, (), (chain, party, seq, hash, at_us, signature))

/// What a witness signs. chain: how both sides call the chain's owner ("hub:4f2a...", "node:17"), not "self".
std::string witness_bytes(std::string_view chain, std::string_view party, std::int64_t seq, std::string_view hash,
                          std::int64_t at_us);

Result<ChainHead> head(Reader& reader);
/// Keeps a witness of our own chain ("self") or of another's. Errors: conflict when it contradicts one that is kept: another hash at its
/// seq, or (for another's chain) a seq below one seen before: that chain was cut or written anew.
Result<void> keep_witness(Tx& tx, const Witness& witness);
/// Newest first.
Result<std::vector<Witness>> witnesses(Reader& reader, std::string_view chain);

enum class Fault : std::uint8_t {
  changed,        // the entry's content is not what was hashed
  missing,        // entries that were there are not
  reordered,      // the entry is real, but stood elsewhere
  not_ours,       // entry and chain are whole, but not what the witness signed: written anew
  bad_signature,  // the witness is not real
};
std::string_view name_of(Fault fault);

struct Finding {
  Fault fault{};
  std::int64_t first = 0, last = 0;  // seq of the entries it is about
  std::string text;                  // a sentence for people
};

struct Report {
  std::int64_t first = 0, last = 0;  // seq of the oldest and newest entry there is
  std::int64_t entries = 0;
  std::int64_t taken_by_retention = 0;  // seq of the last entry that retention took; 0: none
  std::size_t witnesses = 0;
  std::int64_t witnessed_to = 0;  // highest seq a good witness signed; what is newer could still be cut off unseen
  std::vector<Finding> findings;  // at most 100
  bool ok() const { return findings.empty(); }
};

/// Reads all of it. also: witnesses the other side has kept, which somebody who can write here cannot have changed.
/// signed_by: true when the signature is the party's; without it signatures are not checked (and the report's caller says so).
/// Cost: O(entries) time, little memory. Errors: those of reading.
Result<Report> verify(Reader& reader, const std::vector<Witness>& also = {},
                      const std::function<bool(const Witness&)>& signed_by = {});

/// Entries from `from` on, oldest first.
Result<std::vector<AuditRow>> list(Reader& reader, std::int64_t from, std::size_t most);

/// Takes the entries before `before` from the start of the chain and keeps where the rest begins. Returns how many.
Result<std::int64_t> forget_before(Tx& tx, Instant before);

}  // namespace bavn::store::audit
