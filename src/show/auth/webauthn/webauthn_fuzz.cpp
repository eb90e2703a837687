#include <cstdint>

#include "show/auth/webauthn/key.hpp"
#include "show/auth/webauthn/webauthn.hpp"

// What a browser posts before anybody is signed in. The client data is right, so that the rest is reached.
extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace bavn::show::auth::webauthn;
  const std::string_view bytes(reinterpret_cast<const char*>(data), size);
  const Expected expected{"0123456789abcdef", "https://example.org", "example.org", false, false};
  (void)read_authenticator_data(bytes);
  (void)PublicKey::from_cose(bytes);
  (void)verify_registration(
      expected, R"({"type":"webauthn.create","challenge":"MDEyMzQ1Njc4OWFiY2RlZg","origin":"https://example.org"})",
      bytes);
  return 0;
}
