#pragma once
// One wanted value of one record, as offsets into its batch. 12 bytes; no allocation per event.
#include <cstdint>

namespace bavn::event {

using Slot = std::uint16_t;
constexpr Slot kNoSlot = 0xFFFF;

enum class ValueKind : std::uint8_t { string = 0, number = 1, boolean = 2, null = 3, nested = 4 };

/// What a value may hold for indicators, index and digests. The reader sets it from the format's description.
enum class Role : std::uint8_t {
  none = 0,
  ip,          // one address, maybe with port or brackets: "10.0.0.1:443", "[::1]:25", "::ffff:10.0.0.1"
  domain,      // one host name, trailing dot allowed
  url,         // one URL, also without scheme when it has a path
  email,       // one address, display name and <> allowed
  emails,      // several, separated by , ; or white space
  hash,        // one md5, sha1 or sha256 in hex, told apart by length
  hashes,      // "MD5=..,SHA256=..,IMPHASH=.." (Sysmon)
  message_id,  // <x@y>
  subject,     // mail subject
  file_name,   // a name or a path: the last part counts
  user_agent,
  asn,  // "AS13335", "13335"
  ja3,
  app_id,   // cloud application or service principal (GUID)
  account,  // user name or UPN
  bank_account,
  phone,
  host_or_ip,  // a host name or an address
  text,        // free text: URLs, addresses, hashes and mail addresses in it are found
  url_path,    // a path that belongs to the host in another field of the same record
};

struct Field {
  std::uint32_t offset = 0;
  std::uint32_t length = 0;
  Slot slot = kNoSlot;
  std::uint8_t flags = 0;
  Role role = Role::none;

  static constexpr std::uint8_t kKindMask = 0x07;
  static constexpr std::uint8_t kEscaped = 0x08;  // bytes are a JSON string body with escapes, not yet decoded
  static constexpr std::uint8_t kDerived = 0x10;  // bytes are in EventBatch::derived, not in the raw record
  ValueKind kind() const { return static_cast<ValueKind>(flags & kKindMask); }
  bool escaped() const { return (flags & kEscaped) != 0; }
};
static_assert(sizeof(Field) == 12);

}  // namespace bavn::event
