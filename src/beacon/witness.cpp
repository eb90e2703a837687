#include "beacon/witness.hpp"

#include "beacon/bytes.hpp"

namespace bavn::beacon {

namespace {
constexpr std::string_view kPurpose = "bavn audit witness 1";

std::string bytes_of(const Witnessed& w) {
  return BytesOut()
      .counted<std::uint8_t>(w.whose)
      .number(w.head.seq)
      .raw(view(w.head.hash))
      .number(static_cast<std::uint64_t>(micros(w.at)))
      .take();
}
}  // namespace

std::string sign_witness(const SigningKey& key, const Witnessed& w) {
  return key.sign(kPurpose, bytes_of(w));
}

bool is_witness(const PublicKey& key, const Witnessed& w, std::string_view signature) {
  return key.verify(kPurpose, bytes_of(w), signature);
}

}  // namespace bavn::beacon
