// libcurl's functions, found by dlopen.
#pragma once

#define CURL_DISABLE_TYPECHECK
#include <curl/curl.h>

namespace automodel::net {

struct CurlLibrary {
  CURL* (*easy_init)() = nullptr;
  void (*easy_cleanup)(CURL*) = nullptr;
  void (*easy_reset)(CURL*) = nullptr;
  CURLcode (*easy_setopt)(CURL*, CURLoption, ...) = nullptr;
  CURLcode (*easy_perform)(CURL*) = nullptr;
  CURLcode (*easy_getinfo)(CURL*, CURLINFO, ...) = nullptr;
  const char* (*easy_strerror)(CURLcode) = nullptr;
  curl_slist* (*slist_append)(curl_slist*, const char*) = nullptr;
  void (*slist_free_all)(curl_slist*) = nullptr;
};

/// Loads libcurl.so.4 (in its OpenSSL or its GnuTLS flavour) once for the process. Throws SystemError that names the
/// package when there is none.
const CurlLibrary& curl_library();

}  // namespace automodel::net
