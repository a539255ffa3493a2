// "9.19.0" out of the three numbers that a library's header defines, as the compiler sees them.
#pragma once

#define AM_TEXT(x) #x
#define AM_VERSION_TEXT(major, minor, patch) AM_TEXT(major) "." AM_TEXT(minor) "." AM_TEXT(patch)
