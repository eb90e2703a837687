#include "show/auth/webauthn/cbor.hpp"

#include <cbor.h>
#include <fmt/format.h>

#include <limits>

#include "base/text.hpp"

namespace bavn::show::auth::webauthn {

namespace {

constexpr int kDeepest = 8;
constexpr std::size_t kMostItems = 1000;

/// What one head says: a number, a piece of bytes, or how many items follow.
struct Head {
  enum class Kind : std::uint8_t { none, natural, negative, bytes, text, array, map, boolean, null, refused };
  Kind kind = Kind::none;
  std::uint64_t number = 0;
  std::string_view piece{};
};

template <Head::Kind K, class T>
void number(void* head, T n) {
  *static_cast<Head*>(head) = {K, static_cast<std::uint64_t>(n), {}};
}
template <Head::Kind K>
void piece(void* head, cbor_data data, std::size_t size) {
  *static_cast<Head*>(head) = {K, size, {reinterpret_cast<const char*>(data), size}};
}
template <Head::Kind K>
void simple(void* head) {
  *static_cast<Head*>(head) = {K, 0, {}};
}
void refuse_tag(void* head, std::uint64_t) {
  simple<Head::Kind::refused>(head);
}
template <class T>
void refuse_number(void* head, T) {
  simple<Head::Kind::refused>(head);
}

cbor_callbacks callbacks() {
  using K = Head::Kind;
  cbor_callbacks c = cbor_empty_callbacks;
  c.uint8 = number<K::natural, std::uint8_t>;
  c.uint16 = number<K::natural, std::uint16_t>;
  c.uint32 = number<K::natural, std::uint32_t>;
  c.uint64 = number<K::natural, std::uint64_t>;
  c.negint8 = number<K::negative, std::uint8_t>;
  c.negint16 = number<K::negative, std::uint16_t>;
  c.negint32 = number<K::negative, std::uint32_t>;
  c.negint64 = number<K::negative, std::uint64_t>;
  c.byte_string = piece<K::bytes>;
  c.string = piece<K::text>;
  c.array_start = number<K::array, std::size_t>;
  c.map_start = number<K::map, std::size_t>;
  c.boolean = number<K::boolean, bool>;
  c.null = simple<K::null>;
  c.undefined = c.byte_string_start = c.string_start = c.indef_array_start = c.indef_map_start = c.indef_break =
      simple<K::refused>;
  c.tag = refuse_tag;
  c.float2 = c.float4 = refuse_number<float>;
  c.float8 = refuse_number<double>;
  return c;
}

class Walk {
 public:
  explicit Walk(std::string_view bytes) : bytes_(bytes) {}
  std::size_t at() const { return at_; }

  Result<Cbor> item(int depth) {
    if (depth > kDeepest) return wrong("deeper than 8");
    if (++items_ > kMostItems) return wrong("more than 1,000 items");
    Head head;
    const auto got =
        cbor_stream_decode(reinterpret_cast<cbor_data>(bytes_.data()) + at_, bytes_.size() - at_, &callbacks_, &head);
    if (got.status != CBOR_DECODER_FINISHED || got.read == 0 || got.read > bytes_.size() - at_)
      return wrong("cut or broken");
    at_ += got.read;
    switch (head.kind) {
      case Head::Kind::natural:
      case Head::Kind::negative: {
        if (head.number > static_cast<std::uint64_t>(std::numeric_limits<std::int64_t>::max()))
          return wrong("an integer beyond 63 bits");
        const auto n = static_cast<std::int64_t>(head.number);
        return Cbor{Cbor::Kind::integer, head.kind == Head::Kind::natural ? n : -1 - n};
      }
      case Head::Kind::boolean: return Cbor{Cbor::Kind::boolean, static_cast<std::int64_t>(head.number)};
      case Head::Kind::null: return Cbor{};
      case Head::Kind::bytes: return Cbor{Cbor::Kind::bytes, 0, head.piece};
      case Head::Kind::text:
        if (!is_valid_utf8(head.piece)) return wrong("text that is not UTF-8");
        return Cbor{Cbor::Kind::text, 0, head.piece};
      case Head::Kind::array:
      case Head::Kind::map: return items_of(head, depth);
      case Head::Kind::none:
      case Head::Kind::refused: break;
    }
    return wrong("a tag, a float or an indefinite length, which authenticators do not write");
  }

 private:
  std::unexpected<Error> wrong(std::string_view what) const {
    return fail(Code::bad_input, fmt::format("CBOR: {}, at byte {}", what, at_));
  }

  Result<Cbor> items_of(const Head& head, int depth) {
    const bool map = head.kind == Head::Kind::map;
    // Each item is a byte at least: what cannot be there takes no memory.
    if (head.number > bytes_.size() - at_ || head.number > kMostItems) return wrong("more items than bytes");
    Cbor out{map ? Cbor::Kind::map : Cbor::Kind::array};
    for (std::uint64_t i = 0; i < head.number; ++i) {
      BAVN_TRY(Cbor first, item(depth + 1));
      if (map) {
        if (first.kind == Cbor::Kind::integer ? out.find(first.integer) != nullptr
                                              : first.kind == Cbor::Kind::text && out.find(first.bytes) != nullptr)
          return wrong("a key twice");
        out.items.push_back(std::move(first));
        BAVN_TRY(Cbor second, item(depth + 1));
        out.items.push_back(std::move(second));
      } else {
        out.items.push_back(std::move(first));
      }
    }
    return out;
  }

  const cbor_callbacks callbacks_ = callbacks();
  std::string_view bytes_;
  std::size_t at_ = 0;
  std::size_t items_ = 0;
};

}  // namespace

const Cbor* Cbor::find(std::int64_t key) const {
  if (kind != Kind::map) return nullptr;
  for (std::size_t i = 0; i + 1 < items.size(); i += 2)
    if (items[i].kind == Kind::integer && items[i].integer == key) return &items[i + 1];
  return nullptr;
}

const Cbor* Cbor::find(std::string_view key) const {
  if (kind != Kind::map) return nullptr;
  for (std::size_t i = 0; i + 1 < items.size(); i += 2)
    if (items[i].kind == Kind::text && items[i].bytes == key) return &items[i + 1];
  return nullptr;
}

std::optional<std::int64_t> Cbor::number(std::int64_t key) const {
  const Cbor* at = find(key);
  if (at == nullptr || at->kind != Kind::integer) return std::nullopt;
  return at->integer;
}

std::optional<std::string_view> Cbor::bytes_at(std::int64_t key) const {
  const Cbor* at = find(key);
  if (at == nullptr || at->kind != Kind::bytes) return std::nullopt;
  return at->bytes;
}

std::optional<std::string_view> Cbor::bytes_at(std::string_view key) const {
  const Cbor* at = find(key);
  if (at == nullptr || at->kind != Kind::bytes) return std::nullopt;
  return at->bytes;
}

Result<CborRead> read_first_cbor(std::string_view bytes) {
  Walk walk(bytes);
  BAVN_TRY(Cbor value, walk.item(0));
  return CborRead{std::move(value), walk.at()};
}

Result<Cbor> read_cbor(std::string_view bytes) {
  BAVN_TRY(CborRead read, read_first_cbor(bytes));
  if (read.size != bytes.size())
    return fail(Code::bad_input, fmt::format("CBOR: {} bytes behind the end", bytes.size() - read.size));
  return std::move(read.value);
}

}  // namespace bavn::show::auth::webauthn
