"""EKS bearer tokens: mint them, and check them before anybody is asked."""
