#pragma once
// One row of the audit chain and its hash.
#include "store/sql/db.hpp"

namespace bavn::store {

struct AuditRow {
  std::int64_t seq = 0;
  std::int64_t at_us = 0;
  std::string who, action, subject, detail;
  Blob previous;  // hash of the row before; 32 zero bytes at the first
  Blob hash;
};
BOOST_DESCRIBE_STRUCT(AuditRow, (), (seq, at_us, who, action, subject, detail, previous, hash))

/// BLAKE2b-256 over: "bavn-audit-1", previous, seq, at_us, and who, action, subject, detail each after its length. Numbers are 8 bytes, little
/// end first.
std::string hash_of(const AuditRow& row);

/// Numbers as 8 bytes, little end first; texts after their length: what is hashed must not be able to mean two things.
void append_number(std::string& out, std::int64_t n);
void append_text(std::string& out, std::string_view s);

}  // namespace bavn::store
