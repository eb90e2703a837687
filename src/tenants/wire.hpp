#pragma once
// The JSON of enrolment, as both ends read it.
#include <boost/describe/class.hpp>
#include <optional>
#include <string>
#include <vector>

#include "base/ids.hpp"
#include "base/time.hpp"

namespace bavn::tenants {

struct IdentityView {
  std::string root;                        // PublicKey::text()
  std::string statement;                   // the newest statement's text
  Instant time;                            // the hub's clock
  std::optional<std::string> certificate;  // holds, or why it does not; a word for people, nothing is decided by it
};
BOOST_DESCRIBE_STRUCT(IdentityView, (), (root, statement, time, certificate))

struct EnrolView {
  std::string secret;  // base32
  std::string csr_pem, name, sign_key;
};
BOOST_DESCRIBE_STRUCT(EnrolView, (), (secret, csr_pem, name, sign_key))

struct RenewView {
  std::string csr_pem;
};
BOOST_DESCRIBE_STRUCT(RenewView, (), (csr_pem))

struct EnrolledView {
  std::string certificate_pem;
  std::uint64_t node;
  std::string name;
  std::vector<MunicipalityId> municipalities;
  std::string operator_;
  Instant time;
};
BOOST_DESCRIBE_STRUCT(EnrolledView, (), (certificate_pem, node, name, municipalities, operator_, time))

}  // namespace bavn::tenants
