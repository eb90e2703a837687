#pragma once
// What the hub signs, byte for byte (README.md has the table). A stream is a chain of entries; an entry is a signed head, a kind and a
// small payload; big things (segments, bases) are files named by their hash inside a payload.
// One encode/decode pair a form, with a version byte, a golden test and a fuzzer. Decoders take foreign bytes: bad_input with the reason.
// Thread rules: values and free functions.
#include <array>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.hpp"
#include "base/sign.hpp"
#include "base/time.hpp"

namespace bavn::beacon {

using Hash = std::array<char, 32>;  // BLAKE2b-256
std::string_view view(const Hash& h);
Hash hash_of(std::string_view bytes);
/// corrupt when it is not 32 bytes.
Result<Hash> hash_from(std::string_view bytes);

constexpr std::size_t kMaxPayload = 64U << 10U;        // of one entry
constexpr std::size_t kMaxStream = 64, kMaxKind = 32;  // characters: a-z 0-9 and / _ -
constexpr std::size_t kMaxSegment = 4U << 20U;         // bytes of items before compression
constexpr std::size_t kMaxItem = 1U << 20U;            // bytes of one bulk item

struct Head {
  std::string stream;       // "urgent/all", "urgent/101", "bulk/health", "base/all"
  std::uint64_t epoch = 0;  // of the hub that signed it; never falls along a chain
  std::uint64_t seq = 0;    // 1, 2, 3 ... within the stream
  Hash previous{};          // hash of the head with seq - 1; zeros for the first
  Hash payload{};           // payload_hash(kind, payload)
  Instant not_before, not_after;
  friend bool operator==(const Head&, const Head&) = default;
};

std::string encode(const Head& head);
Result<Head> decode_head(std::string_view bytes);
Hash hash_of(const Head& head);
Hash payload_hash(std::string_view kind, std::string_view payload);
bool is_name(std::string_view s, std::size_t most);  // what streams, kinds and audiences are made of

struct Entry {
  Head head;
  std::string signature;  // Ed25519 by the hub key of head.epoch, purpose kHeadPurpose, over encode(head)
  std::string kind;
  std::string payload;
  friend bool operator==(const Entry&, const Entry&) = default;
};
constexpr std::string_view kHeadPurpose = "bavn beacon head 1";

Entry sign_entry(const SigningKey& key, Head head, std::string kind, std::string payload);  // fills head.payload
std::string encode(const Entry& entry);
/// Every byte must be used. The payload's hash is checked here, the signature is not.
Result<Entry> decode_entry(std::string_view bytes);
bool signed_by(const PublicKey& key, const Entry& entry);

/// What a bulk segment holds: items in order, zstd over the whole.
struct Item {
  std::string kind, payload;
  friend bool operator==(const Item&, const Item&) = default;
};
std::string encode_segment(const std::vector<Item>& items);
/// Never takes more memory than kMaxSegment says, whatever the bytes claim.
Result<std::vector<Item>> decode_segment(std::string_view bytes);

/// Payload of an entry of kind "segment": the file that has the items.
struct FileRef {
  Hash hash{};
  std::uint64_t size = 0;
  friend bool operator==(const FileRef&, const FileRef&) = default;
};
std::string encode(const FileRef& ref);
Result<FileRef> decode_file_ref(std::string_view payload);

/// Payload of an entry of kind "base". The indicator base is a file that the beacon does not look into; `items` is a segment with what
/// else was in force (rules, content, settings). Together they replace the bulk entries up to `covers_seq`.
struct BaseRef {
  FileRef file, items;
  std::uint64_t covers_seq = 0;  // of bulk/<audience>; 0: none yet
  std::uint64_t covers_epoch = 0;
  Hash covers_hash{};  // hash of that head
  friend bool operator==(const BaseRef&, const BaseRef&) = default;
};
std::string encode(const BaseRef& ref);
Result<BaseRef> decode_base_ref(std::string_view payload);

/// "bulk/health" -> "health".
std::string_view audience_of(std::string_view stream);

}  // namespace bavn::beacon
