"""Why a student is slow or acts wrongly: causes, repairs, the live probe."""
