#pragma once
#include <string>
#include <string_view>

#include "base/result.hpp"

// OpenSSL's X509, by its own name: its header stays in .cpp files.
struct x509_st;

namespace bavn::net {

/// What a connection says of a client certificate. serial: lower hex without leading zeros.
struct CertificateName {
  std::string serial, name;
};
CertificateName certificate_name(const x509_st& certificate);
Result<CertificateName> certificate_name(std::string_view pem);

}  // namespace bavn::net
