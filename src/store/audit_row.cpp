#include "store/audit_row.hpp"

#include "base/digest.hpp"

namespace bavn::store {

void append_number(std::string& out, std::int64_t n) {
  for (int i = 0; i < 8; ++i) out += static_cast<char>(static_cast<std::uint64_t>(n) >> (8 * i) & 0xff);
}

void append_text(std::string& out, std::string_view s) {
  append_number(out, static_cast<std::int64_t>(s.size()));
  out += s;
}

std::string hash_of(const AuditRow& row) {
  std::string bytes = "bavn-audit-1";
  append_text(bytes, row.previous.bytes);
  append_number(bytes, row.seq);
  append_number(bytes, row.at_us);
  for (const auto* s : {&row.who, &row.action, &row.subject, &row.detail}) append_text(bytes, *s);
  return blake2b256(bytes);
}

}  // namespace bavn::store
