#pragma once
// The seam between the book of digests (digests.hpp) and the correlator: a Group is one novel thing (a URL skeleton, an active attachment)
// with who has seen it. The book joins epochs, keeps who saw what when, asks for reveals; the correlator decides what a group is worth.
// Life: values. Thread rules: calls inside a Tx.
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "correlate/report.hpp"
#include "event/notices.hpp"

namespace bavn::correlate {

/// One municipality that has seen a group's thing.
struct GroupSeen {
  MunicipalityId municipality{};
  std::int64_t first_us = 0;
  std::int64_t mails = 0;  // bucketed
};

/// A sign and who told it.
struct GroupSign {
  event::Sign sign;
  MunicipalityId municipality{};
};

/// What a node revealed of it.
struct GroupRevealed {
  std::string scheme, host, path;  // url
  std::string file_name, sha256;   // attachment
};

struct Group {
  std::string id;    // of the book, the same in every epoch
  std::string kind;  // url, attachment
  std::int64_t first_us = 0, last_us = 0;
  std::vector<GroupSeen> seen;              // within the candidate's window, earliest first, at most 200
  std::vector<std::string> sender_domains;  // members' domains whose persons sent it; empty: none known
  std::vector<GroupSign> signs;             // at most 64
  std::optional<GroupRevealed> revealed;
};

/// What the correlator asks of the book. DigestBook implements it.
class Digests {
 public:
  virtual ~Digests() = default;
  /// Takes a report of kind "digest" or "revealed"; gives the groups that changed and are worth a look: seen by two municipalities or more,
  /// or with a sign, or revealed. A group of one municipality without signs need not be given.
  virtual Result<std::vector<Group>> take(store::Tx& tx, const Report& report) = 0;
  /// Asks nodes to reveal it; once a group, however often it is called. reason: candidate, suspicion.
  virtual Result<void> want_reveal(store::Tx& tx, const std::string& group, std::string_view reason) = 0;
  /// The group that a digest (hex, of any epoch) belongs to now. Empty: none.
  virtual Result<std::optional<Group>> group_of(store::Tx& tx, const std::string& digest) = 0;
};

}  // namespace bavn::correlate
